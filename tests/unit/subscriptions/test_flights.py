"""Flights: one execution for all who ask the same, and how long an earlier one is waited for."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from msgspec import Raw

from schema.readset import ReadSet
from schema.values import Timestamp
from subscriptions.answers import Answer, Question
from subscriptions.effects import Value
from subscriptions.flights import EARLIER_S, MAX_EXECUTIONS, Asked, Flights
from subscriptions.hub import Evaluated, Hub
from subscriptions.log import Log
from tests.support.virtual import run

SHARED: Asked = (Question("m:shared", b"{}", None), ())


def own(number: int) -> Asked:
    return Question("m:own", str(number).encode(), None), ()


async def answered(flights: Flights, asked: Asked, ts: Timestamp, took_s: float) -> Answer:
    async with flights.slot():
        await asyncio.sleep(took_s)
    return Answer(asked[0], None, (), ts, Value(Raw(b"1"), b"1"), ReadSet())


def board(flights: Flights, asked: Asked, at: int, took_s: float) -> asyncio.Task[Answer]:
    return flights.board(asked, Timestamp(at), partial(answered, flights, asked, Timestamp(at), took_s))


def test_one_flight_for_a_question_and_a_moment() -> None:
    async def story() -> None:
        flights = Flights()
        first = board(flights, SHARED, 1, 1.0)
        assert board(flights, SHARED, 1, 1.0) is first
        assert board(flights, SHARED, 2, 1.0) is not first
        assert board(flights, own(1), 1, 1.0) is not first
        assert len(flights) == 3
        assert (await first).ts == 1
        await asyncio.sleep(0)
        assert (len(flights), repr(flights)) == (0, "<Flights 0, 0 aloft>")

    run(story)


def test_the_latest_of_the_earlier_ones_where_there_is_none_for_the_moment() -> None:
    async def story() -> None:
        flights = Flights()
        assert flights.earlier(SHARED, Timestamp(9)) is None
        early, late = board(flights, SHARED, 3, 1.0), board(flights, SHARED, 5, 1.0)
        found = [flights.earlier(SHARED, Timestamp(ts)) for ts in (2, 3, 4, 5, 6)]
        assert found == [None, None, early, None, late]
        await flights.close()

    run(story)


def test_one_that_flies_is_waited_for_for_a_while() -> None:
    async def story() -> tuple[float, bool]:
        flights, loop = Flights(), asyncio.get_running_loop()
        long = board(flights, SHARED, 1, 10 * EARLIER_S)
        await asyncio.sleep(0)
        began = loop.time()
        await flights.landing(long)
        waited, landed = loop.time() - began, long.done()
        await flights.close()
        return waited, landed

    waited, landed = run(story)
    assert waited == pytest.approx(EARLIER_S, abs=0.01)
    assert not landed


def test_one_that_waits_for_its_slot_is_waited_for_until_it_has_landed() -> None:
    """A later one would stand behind it: 5,000 who come back asked again each second for what was first in the line."""

    async def story() -> tuple[bool, float]:
        flights, loop = Flights(), asyncio.get_running_loop()
        crowd = [board(flights, own(number), 1, 5 * EARLIER_S) for number in range(MAX_EXECUTIONS)]
        shared = board(flights, SHARED, 1, EARLIER_S / 2)
        await flights.landing(shared)
        assert all(each.done() for each in crowd)
        return shared.done(), loop.time()

    landed, took = run(story)
    assert landed
    assert took == pytest.approx(5.5 * EARLIER_S, abs=0.01)


async def slowly(question: Question, caller: None, ts: Timestamp) -> Evaluated:
    await asyncio.sleep(3 * EARLIER_S)
    return Evaluated(Value(Raw(b"1"), b"1"), ReadSet())


def test_what_is_known_once_there_is_a_slot_is_not_run_again() -> None:
    """A later moment's execution began beside a slow earlier one, and stood in the line until long after that had landed."""

    async def story() -> tuple[int, int]:
        clock = asyncio.get_running_loop().time
        hub = Hub[None](Log(Timestamp(1)), slowly, facet=lambda *_: None, nudge=lambda: None, clock=clock)
        first = asyncio.create_task(hub.answer(SHARED[0], None, Timestamp(1)))
        await asyncio.sleep(0)
        crowd = [hub.answer(own(number)[0], None, Timestamp(1)) for number in range(2 * MAX_EXECUTIONS)]
        everybody = asyncio.gather(*crowd)
        await asyncio.sleep(0)
        hub.deliver([], Timestamp(2))
        later = await hub.answer(SHARED[0], None, Timestamp(2))
        assert later is await first
        await everybody
        return hub.executions, 1 + len(crowd)

    executions, questions = run(story)
    assert executions == questions
