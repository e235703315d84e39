"""Turns: in order, a slice at a time, whatever one of them does."""

from __future__ import annotations

from subscriptions.turns import SLICE, Turns
from tests.support.virtual import VirtualLoop, run
from tests.support.virtual import turns as pause


def test_everybody_gets_a_turn_in_the_order_of_asking() -> None:
    async def story() -> list[int]:
        turns, done = Turns(), list[int]()
        for number in range(3 * SLICE):
            turns.take(lambda number=number: done.append(number))  # type: ignore[misc]
        assert (len(turns), done, repr(turns)) == (3 * SLICE, [], f"<Turns {3 * SLICE} waiting>")
        await pause(4)
        return done

    assert run(story) == list(range(3 * SLICE))


def test_the_network_is_served_between_two_slices() -> None:
    async def story() -> list[int]:
        turns, served = Turns(), list[int]()
        for _ in range(2 * SLICE + 1):
            turns.take(lambda: None)
        for _ in range(3):
            await pause(1)
            served.append(len(turns))
        return served

    assert run(story) == [SLICE + 1, 1, 0]


def test_who_asks_again_in_a_turn_waits_for_the_others() -> None:
    async def story() -> list[str]:
        turns, done = Turns(), list[str]()

        def eager() -> None:
            done.append("eager")
            if done.count("eager") < 3:
                turns.take(eager)

        turns.take(eager)
        turns.take(lambda: done.append("patient"))
        await pause(5)
        return done

    assert run(story) == ["eager", "patient", "eager", "eager"]


def test_one_that_breaks_takes_no_turn_from_anybody() -> None:
    loop, turns, done, broken = VirtualLoop(), Turns(), list[int](), list[str]()
    loop.set_exception_handler(lambda _, context: broken.append(repr(context["exception"])))

    def breaks() -> None:
        raise ValueError("broken")

    async def story() -> None:
        turns.take(breaks)
        turns.take(lambda: done.append(1))
        await pause(3)
        turns.take(lambda: done.append(2))
        await pause(1)

    loop.run_until_complete(story())
    loop.close()
    assert (done, broken) == ([1, 2], ["ValueError('broken')"])
