"""`SyncMachine` against an oracle: after every transition a client sees every query run at that timestamp.

The store keeps all versions of a few counters. The network, the log and the executor take their steps in any order
Hypothesis finds; nothing here waits or sleeps.
"""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.property.counters import KEYS, QUERIES
from tests.property.world import TOKENS, World

MAX_QUIET_STEPS = 2_000


Edit: TypeAlias = tuple[str, tuple[object, ...]]

keys = st.sampled_from(KEYS)
edits: st.SearchStrategy[Edit] = st.one_of(
    st.tuples(st.just("subscribe"), st.tuples(st.sampled_from(QUERIES), keys)),
    st.tuples(st.just("unsubscribe"), st.tuples(st.integers(0, 99))),
    st.tuples(st.just("mutate"), st.tuples(st.sampled_from([*KEYS, "broken"]))),
    st.tuples(st.just("mutate"), st.tuples(keys)),
    st.tuples(st.just("act"), st.just(())),
    st.tuples(st.just("authenticate"), st.tuples(st.sampled_from([*TOKENS, "token-false", None]))),
    st.tuples(st.just("drop"), st.tuples(st.booleans())),
    st.tuples(st.just("part"), st.just(())),
    st.tuples(st.just("reconnect"), st.tuples(st.integers(0, 3))),
    st.tuples(st.just("foreign_commit"), st.tuples(keys)),
    st.tuples(st.just("abandon"), st.just(())),
    st.tuples(st.just("time_passes"), st.tuples(st.sampled_from([10.0, 400.0, 2_000.0]))),
)
choices = st.lists(st.integers(0, 7), max_size=12)


class SyncWorld(World, RuleBasedStateMachine):
    """The world in the hands of Hypothesis."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        World.__init__(self)

    @initialize()
    def begin(self) -> None:
        self.connect()

    @rule(turns=st.lists(st.tuples(edits, choices), max_size=6))
    def life_goes_on(self, turns: list[tuple[Edit, list[int]]]) -> None:
        """Somebody does something, and then some of what could happen by itself happens, in any order."""
        for (name, argument), steps in turns:
            getattr(self, name)(*argument)
            self.world_goes_on(steps)

    def world_goes_on(self, choices: list[int]) -> None:
        """Some of what could happen by itself happens, in any order."""
        for choice in choices:
            line = self.line
            possible = {
                self.server_hears: bool(line.upstream),
                self.client_hears: bool(line.downstream),
                self.log_advances: bool(self.store.untold),
                self.verified: bool(line.claims),
                self.mutation_goes_on: line.mutation is not None,
                self.action_ends: bool(line.actions),
                self.plan: line.machine.dirty and line.refresh is None,
                self.complete: line.refresh is not None,
            }
            steps = [step for step, may in possible.items() if may]
            if steps:
                steps[choice % len(steps)]()
                self.line.machine.validate()

    @rule()
    def everything_settles(self) -> None:
        """Left alone, the world comes to rest, and nobody is left with an old answer."""
        for _ in range(MAX_QUIET_STEPS):
            if not self._quiet_step():
                break
        else:
            raise AssertionError(f"no rest for {self.line.machine!r}")
        assert not self.line.machine.dirty
        assert not self.client.unsettled
        if self.wants or self.client.version.ts:
            self._agree(self.store.now)

    @invariant()
    def machine_agrees_with_itself(self) -> None:
        self.line.machine.validate()

    def _quiet_step(self) -> bool:
        """One step that the world would take by itself; False when there is none."""
        line = self.line
        if not self.open:
            self.connect()
        elif line.upstream:
            self.server_hears()
        elif line.downstream:
            self.client_hears()
        elif line.over:  # the client ignored an error that a later token had overtaken; the server closes in the end
            self.drop(commits=False)
        elif line.claims:
            self.verified()
        elif line.mutation is not None:
            self.mutation_goes_on()
        elif line.actions:
            self.action_ends()
        elif self.store.untold:
            self.log_advances()
        elif line.refresh is not None:
            self.complete()
        elif line.machine.dirty:
            self.clock = max(self.clock, line.machine.wake_at or 0.0)
            self.plan()
            assert line.refresh is not None, f"nothing stands in the way, yet no refresh: {line.machine!r}"
        else:
            return False
        return True


SyncWorld.TestCase.settings = settings(max_examples=400, stateful_step_count=12, deadline=None)
TestSyncWorld = SyncWorld.TestCase
