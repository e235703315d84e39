"""Migrations: the numbered steps from one version of the schema to the next, and the order in which they may be taken.

Two versions share the database while a release goes out. So a step is taken before the first new process starts ("pre", and
only adds: tables, indexes, fields, rules that let the documents of both pass) or after the last old one has gone ("post": fills
in what old documents lack, takes away what nobody reads any more, and narrows the rules).

Invariants: steps are taken in the order of their numbers; each may be taken twice; a number means the same for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Final, Literal, TypeAlias

import msgspec

from schema.errors import OutOfOrder
from schema.values import Scalar

Phase: TypeAlias = Literal["pre", "post"]


class Mending(msgspec.Struct, frozen=True):
    """What a step does to the documents of a table: fields that are filled in where they are absent, and fields that go.

    Names are the database's.
    """

    table: str
    fill: Mapping[str, Scalar] = msgspec.field(default_factory=dict)
    remove: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True):
    """One step. `shape` is a digest of the whole schema as of a "pre" step, so that nobody changes it without adding one."""

    number: int
    phase: Phase
    title: str
    shape: str = ""
    mendings: tuple[Mending, ...] = ()

    def __str__(self) -> str:
        return f"step {self.number} ({self.title})"


FLAGS_OF_IMAGES: Final = {"isGenerated": False, "isFeatured": False, "isDisabledByAdmin": False}

STEPS: Final = (
    Step(1, "pre", "pulses say of which version a process is; vitals and audits have tables", shape="cb19505800beb1ca"),
    Step(
        2,
        "post",
        "flags that images lack, as many from Convex do, are written out",
        mendings=(Mending("images", FLAGS_OF_IMAGES),),
    ),
)
LATEST: Final = STEPS[-1].number
"""What a process of this version knows of."""


def following(steps: Sequence[Step], taken: Collection[int], phase: Phase) -> list[Step]:
    """The steps of a phase that can be taken now. Raises `OutOfOrder` where some wait and none can be."""
    waiting = [step for step in steps if step.number not in taken]
    ready = list(takewhile(lambda step: step.phase == phase, waiting))
    blocked = [step for step in waiting if step.phase == phase]
    if blocked and not ready:
        raise OutOfOrder(str(blocked[0]), str(waiting[0]))
    return ready


def lacking(steps: Sequence[Step], taken: Collection[int]) -> list[Step]:
    """The steps without which no process of this version may start."""
    return [step for step in steps if step.phase == "pre" and step.number not in taken]


def beyond(steps: Sequence[Step], taken: Mapping[int, Phase], phase: Phase) -> list[int]:
    """The steps of a phase that a newer version has taken and this one does not know."""
    known = max((step.number for step in steps), default=0)
    return sorted(number for number, each in taken.items() if number > known and each == phase)
