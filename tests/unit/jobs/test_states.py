"""The table of a job's states, and its picture in the README."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

import jobs
from jobs.errors import JobError, WrongStep
from jobs.states import FIRST, SETTLED, STEPS, Event, apply, diagram
from schema.system import JobState

STATES: tuple[JobState, ...] = get_args(JobState)
EVENTS: tuple[Event, ...] = get_args(Event)


def test_every_pair_follows_the_table_or_is_refused() -> None:
    for state, event in product(STATES, EVENTS):
        if (state, event) in STEPS:
            assert apply(state, event) == STEPS[state, event]
        else:
            with pytest.raises(WrongStep) as caught:
                apply(state, event)
            assert (caught.value.state, caught.value.event) == (state, event)
            assert isinstance(caught.value, JobError)


def test_every_state_is_reached_and_leads_to_an_end() -> None:
    reached = {FIRST}
    for _ in STATES:
        reached |= {then for (state, _), then in STEPS.items() if state in reached}
    assert reached == set(STATES)
    ending = set(SETTLED)
    for _ in STATES:
        ending |= {state for (state, _), then in STEPS.items() if then in ending}
    assert ending == set(STATES)


def test_nothing_leads_out_of_a_settled_state() -> None:
    assert {"succeeded", "dead", "cancelled"} == SETTLED
    assert not {state for state, _ in STEPS} & SETTLED


def test_only_a_leased_job_can_be_settled_by_its_worker() -> None:
    events = ("renew", "succeed", "retry", "give_up", "hand_back")
    assert {state for state, event in STEPS if event in events} == {"leased"}


def test_the_readme_shows_the_table() -> None:
    readme = Path(jobs.__file__).with_name("README.md").read_text()
    assert f"```mermaid\n{diagram()}\n```" in readme


def test_the_error_reads_as_a_sentence() -> None:
    assert str(WrongStep("dead", "hand_back")) == "A job that is dead cannot hand back."
