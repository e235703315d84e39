"""The story of two processes with a real Redis between them: what one takes over from the other, and all that it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw
from redis.asyncio import Redis

from schema.errors import SnapshotGone
from schema.keys import BY_ID, KeyRange, key_of
from schema.readset import Commit, ReadSet, Touch, WriteSet
from schema.values import Millis, Timestamp
from schema.wire import digest
from server.background import Background
from server.fleet import Fleet, answers, line
from server.fleet.line import KEYS
from server.fleet.offers import MAX_VALUE_BYTES
from server.fleet.presence import Beat, Company
from server.fleet.seal import Seal
from subscriptions.alarms import Alarms
from subscriptions.answers import Question
from subscriptions.effects import Failure, Result, Value
from subscriptions.hub import Evaluated
from subscriptions.log import Log
from tests.support.redis import RedisServer, redis_server

ASKED = Question("images:getPublicGallery", b"{}", None)
KEY = bytes(range(32))
START = Timestamp(10)
READ = ReadSet((KeyRange("images", BY_ID, key_of("a")),))
NEVER_S = 60.0
"""Patience of stories in which nobody may lose it; whoever waits in vain hangs."""


class House:
    """One process: its log, its part in the fleet, and a query that says at which moment it ran."""

    def __init__(self, name: str, redis: RedisServer, *, key: bytes = KEY, setting: str = "") -> None:
        self.now: Millis = 1_000_000.0
        self.log = Log(START)
        self.alarms = Alarms(self.log, lambda: None)
        self.runs = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.began = asyncio.Event()
        self.error: Exception | None = None
        self.background = Background()
        self.result: Callable[[Timestamp], Evaluated] = says
        self.fleet: Fleet[None] = Fleet(
            self.evaluate,
            self.log,
            redis_url=redis.url,
            key=key,
            answers_follow=(setting,),
            name=name,
            sockets=lambda: len(name),
            reached=self.alarms.reached,
            spawn=self.background.spawn,
            clock=lambda: self.now,
        )

    async def evaluate(self, question: Question, caller: None, ts: Timestamp) -> Evaluated:
        self.runs += 1
        self.began.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.result(ts)

    def hears_of(self, ts: int, key: str = "a") -> None:
        """Its feed brings a commit."""
        touched = WriteSet(frozenset({Touch("images", BY_ID, key_of(key))}))
        self.log.append([Commit(Timestamp(ts), touched)], Timestamp(ts))
        self.alarms.moved()

    async def ask(self, ts: int | None = None) -> str:
        """What its hub would be told, as of its log's position."""
        async with asyncio.timeout(NEVER_S):
            evaluated = await self.fleet.evaluate(ASKED, None, self.log.position if ts is None else Timestamp(ts))
        await self.background.drain(NEVER_S)  # what others are told, or are to read, is out
        return said(evaluated)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(NEVER_S):
            while not holds():  # noqa: ASYNC110  # nothing but asking tells
                await asyncio.sleep(0.005)

    def counted(self, name: str) -> float:
        return self.fleet.metrics()[name]


def says(ts: Timestamp) -> Evaluated:
    return of_value(b"%d" % ts)


def of_value(value: bytes, reads: ReadSet = READ) -> Evaluated:
    return Evaluated(Value(Raw(value), digest(value)), reads, documents=9)


def said(evaluated: Evaluated) -> str:
    result: Result = evaluated.result
    return bytes(result.value).decode() if isinstance(result, Value) else result.message


@asynccontextmanager
async def at_home(*houses: House) -> AsyncIterator[None]:
    """They take part, and have all answered once."""
    tasks = [asyncio.create_task(each.fleet.run()) for each in houses]
    try:
        for each in houses:
            await each.until(lambda each=each: not each.fleet.is_alone)  # type: ignore[misc]
            assert await each.ask() == str(START)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody goes on alone because this machine is busy."""
    for module, name in (
        (line, "PATIENCE_S"), (line, "MEET_S"), (answers, "LEAST_WAIT_S"), (answers, "MOST_WAIT_S"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, NEVER_S)


@pytest.mark.usefixtures("patient")
async def test_who_asks_second_takes_over(redis: RedisServer) -> None:
    ana, ben = House("ana", redis), House("ben", redis)
    async with at_home(ana, ben):
        assert (ana.runs, ben.runs) == (1, 1), "nobody knew that anybody else would ask"
        for house in (ana, ben):
            house.hears_of(11)
        ana.gate.clear()
        running, waiting = asyncio.create_task(ana.ask()), asyncio.create_task(ben.ask())
        await ana.began.wait()
        ana.gate.set()
        assert [await running, await waiting] == ["11", "11"]
        assert ana.runs + ben.runs == 3

        for ts in (12, 13):
            for house in (ana, ben):
                house.hears_of(ts)
        assert [await ben.ask(), await ana.ask()] == ["13", "13"], "of what came in between nobody has to know"
        assert ana.runs + ben.runs == 4
        assert ana.counted("anime_answers_offered_total") + ben.counted("anime_answers_offered_total") == 2


@pytest.mark.usefixtures("patient")
async def test_what_is_newer_is_taken_once_our_own_feed_has_come_as_far(redis: RedisServer) -> None:
    ana, ben = House("ana", redis), House("ben", redis)
    async with at_home(ana, ben):
        for ts, key in ((11, "a"), (12, "elsewhere")):
            ana.hears_of(ts, key)
        ben.hears_of(11)
        assert await ana.ask() == "12"
        waiting = asyncio.create_task(ben.ask())
        await ben.until(lambda: len(ben.alarms) == 1)
        ben.hears_of(12, "elsewhere")
        assert await waiting == "12"
        assert ben.runs == 1

        ana.hears_of(13)
        ben.hears_of(13)
        assert await ana.ask() == "13"
        ben.hears_of(14)
        assert await ben.ask(13) == "13", "what holds then is true of then"
        assert await ben.ask() == "14", "and what another found before is not true of now"
        assert ben.runs == 2


@pytest.mark.usefixtures("patient")
async def test_what_was_changed_before_it_arrived_is_not_taken(redis: RedisServer) -> None:
    """Ana's log is ahead, and what she read was written in between: hers is no answer to what Ben asks."""
    ana, ben = House("ana", redis), House("ben", redis)
    async with at_home(ana, ben):
        ana.result = lambda ts: of_value(b"%d" % ts, ReadSet((*READ.ranges, KeyRange("images", BY_ID, key_of("b")))))
        ana.hears_of(11)
        ana.hears_of(12, "b")
        ben.hears_of(11)
        assert await ana.ask() == "12"
        waiting = asyncio.create_task(ben.ask(11))
        await ben.until(lambda: len(ben.alarms) == 1)
        ben.hears_of(12, "b")
        assert await waiting == "11"
        assert ben.runs == 2


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("stranger", [{"key": KEY[::-1]}, {"setting": "http://elsewhere"}], ids=["keys", "settings"])
async def test_another_deployment_or_version_is_not_met(redis: RedisServer, stranger: dict[str, object]) -> None:
    ana, ben = House("ana", redis), House("ben", redis, **stranger)  # type: ignore[arg-type]
    async with at_home(ana, ben):
        for house in (ana, ben):
            house.hears_of(11)
            assert await house.ask() == "11"
        assert (ana.runs, ben.runs) == (2, 2)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("forged", [b"", b"1234567890abcdef", b"\x97\x0b\x90\xc0\xc4\x0222\xc0\x09\x01"], ids=repr)
async def test_who_can_write_to_redis_puts_no_words_in_our_mouth(redis: RedisServer, forged: bytes) -> None:
    ana, ben = House("ana", redis), House("ben", redis)
    async with at_home(ana, ben), Redis.from_url(redis.url) as stranger:
        for house in (ana, ben):
            house.hears_of(11)
        assert await ana.ask() == "11"
        (key,) = await stranger.keys(KEYS + b"*")
        honest = await stranger.get(key)
        assert isinstance(honest, bytes)
        await stranger.set(key, honest[:16] + forged)
        assert await ben.ask() == "11"
        assert ben.runs == 2

        for house in (ana, ben):
            house.hears_of(12)
        assert await ana.ask() == "12"
        (other,) = set(await stranger.keys(KEYS + b"*")) - {key}
        await stranger.set(other, honest)
        assert await ben.ask() == "12", "what was true before is signed, and for another name"
        assert ben.runs == 3


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "evaluated",
    [
        of_value(b"1", ReadSet(READ.ranges, frozenset({"subject"}))),
        of_value(b"1" * (MAX_VALUE_BYTES + 1)),
        Evaluated(Failure("1", None, b"", None), READ, documents=9),
        Evaluated(Value(Raw(b"1"), b""), READ, documents=1),
    ],
    ids=["one person's", "large", "refused", "cheap"],
)
async def test_what_is_not_offered(redis: RedisServer, evaluated: Evaluated) -> None:
    """Whoever waits for it is told so at once."""
    ana, ben = House("ana", redis), House("ben", redis)
    async with at_home(ana, ben):
        ana.result = ben.result = lambda _: evaluated
        for ts in (11, 12):
            for house in (ana, ben):
                house.hears_of(ts)
            assert (await asyncio.gather(ana.ask(), ben.ask()))[0] == said(evaluated)
        assert (ana.runs, ben.runs) == (3, 3)
        assert (
            ana.counted("anime_answers_awaited_in_vain_total")
            == ben.counted("anime_answers_awaited_in_vain_total")
            == 0
        )
        assert ana.counted("anime_answers_offered_total") + ben.counted("anime_answers_offered_total") == 0


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("how", ["it fails", "Redis is killed"])
async def test_who_waits_goes_on_as_soon_as_nothing_will_come(redis: RedisServer, how: str) -> None:
    ana, ben = House("ana", redis), House("ben", redis)
    async with at_home(ana, ben):
        for house in (ana, ben):
            house.hears_of(11)
        ana.gate.clear()
        ana.began.clear()
        ana.error = SnapshotGone("it fails")
        running = asyncio.create_task(ana.ask())
        await ana.began.wait()
        waiting = asyncio.create_task(ben.ask())
        await ben.until(lambda: ", 1 waited for" in repr(ben.fleet))
        if how == "it fails":
            ana.gate.set()
        else:
            await redis.kill()
        assert await waiting == "11"
        ana.gate.set()
        with pytest.raises(SnapshotGone):
            await running
        assert (ben.runs, ben.counted("anime_answers_awaited_in_vain_total")) == (2, 0)


async def test_who_never_tells_is_waited_for_once_in_a_while(redis: RedisServer) -> None:
    """A process that died, or a stranger who claims everything."""
    ana, ben = House("ana", redis), House("ben", redis)
    async with at_home(ana, ben):
        for house in (ana, ben):
            house.hears_of(11)
        ana.gate.clear()
        ana.began.clear()
        running = asyncio.create_task(ana.ask())
        await ana.began.wait()
        assert await ben.ask() == "11"
        assert ben.counted("anime_answers_awaited_in_vain_total") == 1
        ana.hears_of(12)
        ben.hears_of(12)
        assert await ben.ask() == "12"
        assert (ben.runs, ben.counted("anime_answers_offered_total")) == (3, 0), "it did not even ask Redis"
        ben.now += answers.REST
        ben.hears_of(13)
        assert await ben.ask() == "13"
        assert ben.counted("anime_answers_offered_total") == 1
        ana.gate.set()
        assert await running == "11"


async def test_a_frozen_redis_is_waited_for_once(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "anime.fleet")

    def told() -> list[str]:
        return [record.__dict__["action"] for record in caplog.records]

    ana = House("ana", redis)
    async with at_home(ana):
        redis.freeze()
        for ts in range(11, 20):
            ana.hears_of(ts)
            assert await ana.ask() == str(ts)
            assert ana.fleet.is_alone
        await ana.until(lambda: "fleet.alone" in told())
        redis.thaw()
        await ana.until(lambda: not ana.fleet.is_alone)
        ana.hears_of(20)
        assert await ana.ask() == "20"
        assert ana.counted("anime_answers_offered_total") == 1
    assert told() == ["fleet.shared", "fleet.alone", "fleet.shared"]


async def test_a_redis_that_is_full_is_as_good_as_none(redis: RedisServer) -> None:
    ana = House("ana", redis)
    async with at_home(ana), Redis.from_url(redis.url) as operator:
        await operator.config_set("maxmemory", 1)
        ana.hears_of(11)
        assert await ana.ask() == "11"
        assert ana.counted("anime_answers_offered_total") == 0


async def test_who_is_there_is_known_while_redis_is(redis: RedisServer) -> None:
    ana, benedict, stranger = House("ana", redis), House("benedict", redis), House("eve", redis, key=KEY[::-1])
    ours = Seal(KEY, b"any version")
    made_up = ours.place("beats") + bytes(16) + msgspec.msgpack.encode(Beat("mallory", 1_000, 1))
    async with at_home(ana, stranger), Redis.from_url(redis.url) as mallory:
        heard = await mallory.publish(KEYS + ours.place("channel").hex().encode(), made_up)
        assert heard == 1
        async with at_home(benedict):
            await ana.until(lambda: ana.fleet.company().processes > 1)
            assert ana.fleet.company() == Company(processes=2, sockets=11)
            assert (ana.counted("anime_fleet_processes"), ana.counted("anime_fleet_sockets")) == (2, 11)
            await redis.kill()
            await ana.until(lambda: ana.fleet.is_alone)
            assert ana.fleet.company() == Company(processes=1, sockets=3)
