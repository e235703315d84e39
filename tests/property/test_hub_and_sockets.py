"""The real hub, workers and fan-outs against an oracle: whatever a client is shown is every query run at one moment.

A dozen sockets share answers, so that a commit is fanned out and most of them leap, while others edit, mutate, stop reading,
leave, return, or become somebody else. Time is virtual and the network is memory; the code in between is the product's.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.property.counters import KEYS, QUERIES
from tests.property.hub_world import TOKENS, Client, HubWorld
from tests.support.virtual import turns as pause

SHARED = (*QUERIES, "counter:timed", "counter:moody")

Doing: TypeAlias = tuple[str, tuple[object, ...]]
Turn: TypeAlias = tuple[tuple[int | None, Doing], float]

keys = st.sampled_from(KEYS)
who = st.integers(0, 19)
of_one: st.SearchStrategy[Doing] = st.one_of(
    st.tuples(st.just("subscribe"), st.tuples(st.sampled_from(SHARED), keys)),
    st.tuples(st.just("unsubscribe"), st.tuples(st.integers(0, 9))),
    st.tuples(st.just("mutate"), st.tuples(keys)),
    st.tuples(st.just("act"), st.just(())),
    st.tuples(st.just("authenticate"), st.tuples(st.sampled_from([*TOKENS, "token-false", None]))),
    st.tuples(st.just("drop"), st.just(())),
    st.tuples(st.just("connect"), st.just(())),
)
of_the_line = st.one_of(st.just(0), st.just(1), st.none())
of_all: st.SearchStrategy[Doing] = st.one_of(
    st.tuples(st.just("commit"), st.tuples(keys)),
    st.tuples(st.just("commit"), st.tuples(keys)),
    st.tuples(st.just("deliver"), st.tuples(st.integers(1, 3))),
    st.tuples(st.just("deliver"), st.tuples(st.integers(1, 3))),
    st.tuples(st.just("lose"), st.just(())),
    st.tuples(st.just("trouble"), st.tuples(st.booleans())),
)
passing = st.sampled_from([0, 0, 1, 2, 3, 5, 8, 0.006, 0.03, 0.3, 2.5])
"""Turns of the loop, or seconds."""


class HubMachine(HubWorld, RuleBasedStateMachine):
    """The world in the hands of Hypothesis."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        HubWorld.__init__(self)

    @initialize(
        count=st.integers(5, 20),
        common=st.lists(st.sampled_from(SHARED), min_size=1, max_size=3, unique=True),
        latency=st.sampled_from([0.0, 0.001, 0.004]),
    )
    def begin(self, count: int, common: list[str], latency: float) -> None:
        self.latency = latency
        self.clients = [Client(self, number) for number in range(count)]
        self.loop.run_until_complete(self._begin(common))

    async def _begin(self, common: list[str]) -> None:
        for client in self.clients:
            for path in common:
                client.subscribe(path, "a")
        await self.settle()

    @rule(
        turns=st.lists(st.tuples(st.one_of(st.tuples(who, of_one), st.tuples(st.none(), of_all)), passing), max_size=8)
    )
    def life_goes_on(self, turns: list[Turn]) -> None:
        self.loop.run_until_complete(self._go_on(turns))
        self.check()

    async def _go_on(self, turns: list[Turn]) -> None:
        for (number, (name, arguments)), time in turns:
            one = None if number is None else self.clients[number % len(self.clients)]
            getattr(one or self, name)(*arguments)
            await self._pass(time)

    async def _pass(self, time: float) -> None:
        if isinstance(time, float):
            await asyncio.sleep(time)
        else:
            await pause(time)

    @rule(number=who, capacity=of_the_line)
    def reading_changes(self, number: int, capacity: int | None) -> None:
        """A client stops reading, reads one more, or reads again."""
        self.loop.run_until_complete(self._reading_changes(self.clients[number % len(self.clients)], capacity))
        self.check()

    async def _reading_changes(self, client: Client, capacity: int | None) -> None:
        if client.line is not None:
            if capacity == 0:
                client.line.capacity = 0
            else:
                client.line.drain(capacity)

    @rule(number=who, commits=st.lists(keys, min_size=1, max_size=5))
    def who_was_slow_gets_the_newest(self, number: int, commits: list[str]) -> None:
        """Not all that happened meanwhile, but what is so in the end."""
        self.loop.run_until_complete(self._slow(self.clients[number % len(self.clients)], commits))
        self.check()

    async def _slow(self, client: Client, commits: list[str]) -> None:
        await self.settle()
        line = client.line
        assert line is not None
        before, line.capacity = line.transitions, 0
        for key in commits:
            self.store.commit(key)
            self.deliver()
            await asyncio.sleep(0.02)
        assert line.transitions == before
        line.drain()
        await asyncio.sleep(0.2)
        timed = any(client.queries[each][0] == "counter:timed" for each in client.wants)
        assert line.transitions <= before + 1 + timed, "every moment that has passed was shown"
        client.agree(self.store.now)

    @rule()
    def everything_settles(self) -> None:
        """Left alone, the world comes to rest, and nobody is left with an old answer."""
        self.loop.run_until_complete(self.settle())

    def teardown(self) -> None:
        try:
            self.loop.run_until_complete(self.close())
            self.check()
        finally:
            self.loop.close()


HubMachine.TestCase.settings = settings(
    max_examples=120, stateful_step_count=10, deadline=None, phases=[Phase.generate]
)
TestHubAndSockets = HubMachine.TestCase
