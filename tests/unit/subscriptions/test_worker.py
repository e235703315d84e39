"""The worker where two of its duties meet; what it does in general, the property tests say."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from schema.values import Timestamp
from subscriptions import protocol
from subscriptions.fan_out import FEW_WATCHERS
from subscriptions.protocol import QueryUpdated, Transition
from subscriptions.version import decode_timestamp, encode_timestamp
from subscriptions.worker import SocketWorker
from tests.property.hub_world import Client, ClientLine, HubWorld
from tests.support.virtual import turns

Story = Callable[[HubWorld, list[Client]], Coroutine[Any, Any, None]]


def played(story: Story, count: int = FEW_WATCHERS + 2) -> None:
    """A world of so many clients that all show one answer, and what happens to them."""
    world = HubWorld()
    world.clients = [Client(world, number) for number in range(count)]

    async def all_of_it() -> None:
        for client in world.clients:
            client.subscribe("counter:read", "a")
        await world.settle()
        await story(world, world.clients)
        world.check()

    try:
        world.loop.run_until_complete(all_of_it())
    finally:
        world.loop.run_until_complete(world.close())
        world.loop.close()


def line_of(client: Client) -> ClientLine:
    assert client.line is not None
    return client.line


def transitions(line: ClientLine) -> list[Transition]:
    said = [msgspec.json.decode(each, type=protocol.ServerMessage) for each in line.sent]
    return [each for each in said if isinstance(each, Transition)]


def test_all_who_are_quiet_are_told_with_one_frame() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        world.commit("a")
        world.deliver()
        await asyncio.sleep(0.1)
        assert len({id(line_of(each).sent[-1]) for each in clients}) == 1
        assert world.hub.executions == 2

    played(story)


def test_who_shows_an_answer_twice_is_never_told_half() -> None:
    """Two queries of one client may ask the same; one leaps only if the other holds at the target."""

    async def story(world: HubWorld, clients: list[Client]) -> None:
        line = line_of(clients[0])
        line.client.hears = lambda frame: None  # type: ignore[method-assign]
        added = {"type": "Add", "queryId": 9, "udfPath": "counter:read", "args": [{"key": "a"}]}
        edit = {"type": "ModifyQuerySet", "baseVersion": 1, "newVersion": 2, "modifications": [added]}
        line.upstream.put_nowait(msgspec.json.encode(edit))
        await asyncio.sleep(0.1)
        world.commit("a")
        world.deliver()
        await asyncio.sleep(0.1)
        shown: dict[int, bytes] = {}
        for each in transitions(line):
            shown |= {told.query_id: bytes(told.value) for told in each.modifications if isinstance(told, QueryUpdated)}
            if each.end_version.query_set == 2:
                assert shown[0] == shown[9], each
        assert shown == {0: b'"1"', 9: b'"1"'}

    played(story)


def test_what_did_not_change_is_not_said() -> None:
    """A commit that met the answer and left it as it was sends nothing, and the next one is not missed."""

    async def story(world: HubWorld, clients: list[Client]) -> None:
        for client in clients:
            client.unsubscribe(0)
            client.subscribe("counter:mine", "a")
        await world.settle()
        before = [len(line_of(each).sent) for each in clients]
        world.commit("a")  # one half, rounded down
        world.deliver()
        await asyncio.sleep(0.1)
        assert [len(line_of(each).sent) for each in clients] == before
        world.commit("a")
        world.deliver()
        await asyncio.sleep(0.1)
        assert [len(line_of(each).sent) for each in clients] == [each + 1 for each in before]

    played(story)


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def workers() -> int:
    return sum(isinstance(each, SocketWorker) for each in gc.get_objects())


def test_a_closed_socket_leaves_nothing_for_the_collector() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        before = workers()
        clients[0].mutate("a")
        await asyncio.sleep(0.1)
        world.commit("a")
        world.deliver()
        await turns(2)  # a fan-out is on its way
        for client in clients[:4]:
            client.drop()
        await asyncio.sleep(1.0)
        assert before - workers() == 4

    with without_collector():
        played(story)


def test_who_waits_for_the_feed_and_leaves_is_not_kept_for_it() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        before, line = workers(), line_of(clients[0])
        world.nudged = lambda: None  # type: ignore[method-assign]
        ahead = encode_timestamp(Timestamp(world.hub.position + 1_000))
        hello = {"type": "Connect", "sessionId": "a95282ec-bd91-423d-ae26-1ce77e791816", "connectionCount": 0}
        more = {"lastCloseReason": None, "maxObservedTimestamp": ahead, "clientTs": 0}
        line.upstream.put_nowait(msgspec.json.encode({**hello, **more}))
        world.commit("a")
        world.deliver()
        await asyncio.sleep(0.1)
        assert len(transitions(line)) == 1
        clients[0].drop()
        del line
        await asyncio.sleep(0.1)
        assert before - workers() == 1

    with without_collector():
        played(story)


def test_trouble_of_our_own_closes_with_the_words_for_it(caplog: pytest.LogCaptureFixture) -> None:
    class Telling(ClientLine):
        closed: tuple[int, str] | None = None

        async def close(self, code: int, reason: str) -> None:
            self.closed, self.client.line = (code, reason), None
            self.upstream.put_nowait(None)

    async def story(world: HubWorld, clients: list[Client]) -> None:
        line = Telling(clients[0])
        line.client = Client(world, 99)
        line.client.line = line
        line.start([])
        world.troubles.append(ValueError("a bug"))
        await asyncio.sleep(0.1)
        added = {"type": "Add", "queryId": 0, "udfPath": "counter:mine", "args": [{"key": "b"}]}
        edit = {"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [added]}
        line.upstream.put_nowait(msgspec.json.encode(edit))
        await asyncio.sleep(1.0)
        assert line.closed == (1011, "InternalServerError")
        assert transitions(line) == []

    with caplog.at_level(logging.ERROR):
        played(story)
    assert "socket broke" in caplog.text


def test_a_mutation_outlives_its_socket() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        world.latency = 0.01
        clients[0].mutate("a")
        await asyncio.sleep(0.015)
        clients[0].drop()
        await asyncio.sleep(0.1)
        assert world.store.at("a", world.store.now) == 1
        clients[0].connect()
        await world.settle()
        assert world.store.at("a", world.store.now) == 1
        assert clients[0].settled == {0}

    played(story)


@pytest.mark.parametrize("steps", range(16))
@pytest.mark.parametrize("key", ["a", "b"])
def test_a_fan_out_may_come_at_every_step_of_a_mutation(key: str, steps: int) -> None:
    """Neither shown before it is answered, nor answered and then shown a moment before it."""

    async def story(world: HubWorld, clients: list[Client]) -> None:
        world.commit("a")
        clients[0].mutate(key)
        await turns(steps)
        world.deliver()  # the world looks at every frame
        await turns(20 - steps)
        world.deliver()
        await world.settle()
        assert clients[0].settled == {0}

    played(story)


def test_nobody_is_led_on_whose_token_has_run_out() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        clients[0].authenticate("token-short")
        await world.settle()
        line = line_of(clients[0])
        await asyncio.sleep(3.0)
        assert not line.machine.finished, "it has had nothing to say"
        before = line.transitions
        world.commit("a")
        world.deliver()
        await asyncio.sleep(0.1)
        assert (line.transitions, line.machine.finished) == (before, True)

    played(story)


@pytest.mark.parametrize("steps", range(12))
def test_nothing_follows_the_last_word(steps: int) -> None:
    """A fan-out that comes between an error and its turn finds nobody to lead."""

    async def story(world: HubWorld, clients: list[Client]) -> None:
        line = line_of(clients[0])
        line.client.hears = lambda frame: None  # type: ignore[method-assign]
        world.commit("a")
        world.deliver()
        await turns(steps)
        line.upstream.put_nowait(b"garbage")
        await asyncio.sleep(0.1)
        assert [b"FatalError" in each for each in line.sent].index(True) == len(line.sent) - 1

    played(story)


def test_a_leap_finds_only_who_still_shows_what_it_leads_from() -> None:
    """While the successor is evaluated a client gives its number to another query, and is quiet again."""

    async def story(world: HubWorld, clients: list[Client]) -> None:
        clients[1].subscribe("counter:read", "b")
        world.commit("b")
        world.commit("b")
        await world.settle()
        line = line_of(clients[0])
        line.client.hears = lambda frame: None  # type: ignore[method-assign]
        world.latency = 1.0
        world.commit("a")
        world.deliver()
        added = {"type": "Add", "queryId": 0, "udfPath": "counter:read", "args": [{"key": "b"}]}
        edits = [{"type": "Remove", "queryId": 0}, added]
        edit = {"type": "ModifyQuerySet", "baseVersion": 1, "newVersion": 2, "modifications": edits}
        line.upstream.put_nowait(msgspec.json.encode(edit))
        await asyncio.sleep(5.0)
        told = [each for said in transitions(line) for each in said.modifications]
        assert isinstance(told[-1], QueryUpdated)
        assert bytes(told[-1].value) == b'"2"'
        assert len(told) == 2

    played(story)


def test_an_answer_that_begins_to_look_at_who_asks_is_shared_no_longer() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        for client, token in zip(clients, ("token-ana", "token-bob") * len(clients), strict=False):
            client.authenticate(token)
            client.subscribe("counter:moody", "b")
        await world.settle()
        for _ in range(3):  # the world compares every screen with what its owner is to see
            world.commit("b")
            world.deliver()
            await world.settle()

    played(story)


def test_every_mutation_waits_for_the_feed_anew() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        for number in range(3):
            clients[0].mutate("b")  # on nobody's screen: no commit wakes it
            await asyncio.sleep(2.0)
            assert clients[0].settled == set(range(number + 1))

    played(story)


def test_many_frames_while_the_feed_lags_make_one_alarm() -> None:
    async def story(world: HubWorld, clients: list[Client]) -> None:
        line = line_of(clients[0])
        clients[0].mutate("a")
        await asyncio.sleep(0)
        for _ in range(200):
            line.upstream.put_nowait(b'{"type":"Event","eventType":"x","event":null}')
            await turns(4)
        assert len(world.hub.alarms) <= 1
        await world.settle()
        assert decode_timestamp(transitions(line)[-1].end_version.ts) >= world.receipts[0, 0]

    played(story)


HAPPENINGS: dict[str, Callable[[HubWorld, Client], None]] = {
    "it asks for something else": lambda world, client: client.subscribe("counter:read", "b"),
    "it no longer wants to know": lambda world, client: client.unsubscribe(0),
    "it writes": lambda world, client: client.mutate("a"),
    "it acts": lambda world, client: client.act(),
    "it says who it is": lambda world, client: client.authenticate("token-ana"),
    "it leaves": lambda world, client: client.drop(),
    "it stops reading": lambda world, client: setattr(line_of(client), "capacity", 0),
    "its line fills": lambda world, client: setattr(line_of(client), "capacity", 1),
    "a newer commit comes": lambda world, client: world.commit("a"),
    "history is lost": lambda world, client: world.lose(),
}


@pytest.mark.parametrize("steps", range(0, 24, 3))
@pytest.mark.parametrize("happening", HAPPENINGS)
def test_anything_may_happen_while_a_cohort_is_led(happening: str, steps: int) -> None:
    """To a member at any point of a leap; and all others are brought to the end of it."""

    async def story(world: HubWorld, clients: list[Client]) -> None:
        world.commit("a")
        await world.settle()
        assert (len(world.hub.cohorts), world.hub.cohorts.members) == (1, len(clients))
        world.commit("a")
        world.deliver()
        await turns(steps)
        HAPPENINGS[happening](world, clients[steps % len(clients)])
        world.deliver()
        await asyncio.sleep(0.5)
        still = [each for each in clients if each.line is not None and each.wants and each.line.writable]
        assert len(still) >= len(clients) - 1
        for client in still:
            client.agree(world.store.position)
        await world.settle()
        world.commit("a")
        await world.settle()

    played(story, 12)
