"""The outbox: order, patience, and where patience ends."""

from __future__ import annotations

import asyncio

from subscriptions.outbox import MAX_WAITING_BYTES, PING, PING_S, STUCK_S, Outbox
from subscriptions.push import Push
from tests.support.virtual import MemoryLine, run

BEAT_S = 1.0


def outbox_of(line: MemoryLine) -> tuple[Outbox, list[str]]:
    told: list[str] = []
    return Outbox(line, lambda: told.append("open"), lambda: None), told


def put(outbox: Outbox, *texts: str) -> None:
    for text in texts:
        outbox.put(Push(text.encode()))


async def beats(outbox: Outbox, seconds: int) -> None:
    """The heartbeat of so many seconds."""
    for _ in range(seconds):
        await asyncio.sleep(BEAT_S)
        outbox.ping(asyncio.get_running_loop().time())


def test_an_open_line_takes_a_frame_at_once() -> None:
    async def story() -> None:
        line = MemoryLine()
        outbox, told = outbox_of(line)
        put(outbox, "a", "b")
        assert (line.sent, outbox.open, told, repr(outbox)) == ([b"a", b"b"], True, [], "<Outbox 0 frames>")

    run(story)


def test_nothing_overtakes_what_waits() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=1)
        outbox, told = outbox_of(line)
        put(outbox, "a", "b", "c")
        line.capacity = None  # writable again, but nobody was told yet
        put(outbox, "d")
        assert (line.sent, outbox.open, repr(outbox)) == ([b"a"], False, "<Outbox 3 frames, stuck>")
        line.drain()
        assert (line.sent, outbox.open, told) == ([b"a", b"b", b"c", b"d"], True, ["open"])

    run(story)


def test_a_line_that_is_full_again_is_not_open() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=0)
        outbox, told = outbox_of(line)
        put(outbox, "a", "b")
        line.drain(capacity=1)
        assert (line.sent, outbox.open, told) == ([b"a"], False, [])
        line.drain(capacity=1)
        assert (line.sent, outbox.open, told) == ([b"a", b"b"], False, [])
        line.drain(capacity=1)
        assert (outbox.open, told) == (True, ["open"])

    run(story)


def test_who_takes_nothing_for_long_is_cut() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=0)
        outbox, _ = outbox_of(line)
        put(outbox, "a")
        await asyncio.sleep(STUCK_S - 1)
        assert line.aborted == 0
        await asyncio.sleep(2)
        assert line.aborted == 1
        put(outbox, "b")
        await beats(outbox, round(2 * STUCK_S))
        assert (line.aborted, line.sent) == (1, [])

    run(story)


def test_who_takes_a_little_now_and_then_is_not() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=0)
        outbox, _ = outbox_of(line)
        put(outbox, *"abcdef")
        for _ in range(5):
            await asyncio.sleep(STUCK_S - 1)
            line.drain(capacity=1)
        assert (line.sent, line.aborted) == ([b"a", b"b", b"c", b"d", b"e"], 0)
        await asyncio.sleep(STUCK_S + 1)
        assert line.aborted == 1

    run(story)


def test_a_full_line_with_nothing_to_say_is_noticed_by_the_heartbeat() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=1)
        outbox, _ = outbox_of(line)
        put(outbox, "a")
        await beats(outbox, round(STUCK_S) + 2)
        assert (line.sent, line.aborted) == ([b"a"], 1)

    run(story)


def test_answers_do_not_pile_up_without_end() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=0)
        outbox, _ = outbox_of(line)
        answer = Push(bytes(MAX_WAITING_BYTES // 4))
        for _ in range(4):
            outbox.put(answer)
        assert line.aborted == 0
        outbox.put(answer)
        assert line.aborted == 1
        line.drain()
        assert line.sent == []

    run(story)


def test_what_has_left_no_longer_counts() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=0)
        outbox, _ = outbox_of(line)
        answer = Push(bytes(MAX_WAITING_BYTES // 4))
        for _ in range(5):
            for _ in range(4):
                outbox.put(answer)
            line.drain()
            line.capacity = 0
        assert (len(line.sent), line.aborted) == (20, 0)
        outbox.close()

    run(story)


def test_a_ping_only_when_nothing_else_was_said_for_a_while() -> None:
    async def story() -> None:
        line = MemoryLine()
        outbox, _ = outbox_of(line)
        for _ in range(4):
            await beats(outbox, round(PING_S) - 2)
            put(outbox, "news")
        assert PING.text not in line.sent
        await beats(outbox, 3 * round(PING_S) + 6)
        assert line.sent.count(PING.text) == 3

    run(story)


def test_flushing_ends_when_all_has_left_or_patience_has() -> None:
    async def story() -> None:
        line = MemoryLine()
        outbox, _ = outbox_of(line)
        loop = asyncio.get_running_loop()
        await outbox.flush(3.0)
        assert loop.time() == 0
        line.capacity = 0
        put(outbox, "a")
        await outbox.flush(3.0)
        assert 3.0 <= loop.time() < 3.1
        loop.call_later(1.0, line.drain)
        await outbox.flush(3.0)
        assert 4.0 <= loop.time() < 4.1

    run(story)


def test_a_closed_one_is_silent_and_keeps_nothing() -> None:
    async def story() -> None:
        line = MemoryLine(capacity=0)
        outbox, told = outbox_of(line)
        put(outbox, "a")
        loop = asyncio.get_running_loop()
        loop.call_later(1.0, outbox.close)
        await outbox.flush(3.0)
        assert loop.time() < 1.1, "there was nothing left to wait for"
        put(outbox, "b")
        line.drain()
        await beats(outbox, round(STUCK_S) + 2)
        assert (line.sent, told, line.aborted) == ([], [], 0)

    run(story)
