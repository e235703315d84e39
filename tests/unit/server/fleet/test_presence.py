"""Who is there, from what was heard."""

from __future__ import annotations

import pytest

from server.fleet import presence
from server.fleet.presence import FORGOTTEN_AFTER, Company, Presence


class Time:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_everybody_who_was_heard_lately_is_counted_once() -> None:
    time = Time()
    ana, ben = Presence("ana", lambda: 3, time), Presence("ben", lambda: 4, time)
    assert ana.company() == Company(processes=1, sockets=3)
    for beat in (ben.beat(), ben.beat(), ana.beat()):
        ana.hear(beat)
    assert ana.company() == Company(processes=2, sockets=7)
    time.now += FORGOTTEN_AFTER
    assert ana.company() == Company(processes=1, sockets=3)


def test_who_cannot_be_heard_is_forgotten_at_once() -> None:
    ana, ben = Presence("ana", lambda: 3, Time()), Presence("ben", lambda: 4, Time())
    ana.hear(ben.beat())
    ana.forget()
    assert ana.company().processes == 1


@pytest.mark.parametrize("told", [b"", b"\xff", b"\x93\xa1a\xa1b\x01"])
def test_what_cannot_be_read_is_nobody(told: bytes) -> None:
    ana = Presence("ana", lambda: 3, Time())
    ana.hear(told)
    assert ana.company().processes == 1


def test_there_is_an_end_to_who_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "MAX_PROCESSES", 2)
    ana = Presence("ana", lambda: 0, Time())
    for number in range(5):
        ana.hear(Presence(f"p{number}", lambda: 1, Time()).beat())
    assert ana.company().processes == 3
