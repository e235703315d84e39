"""The table of phases."""

from __future__ import annotations

import itertools

import pytest

from subscriptions.errors import LocalProtocolError
from subscriptions.phases import PHASES, Cue, Phase, following


@pytest.mark.parametrize(("phase", "cue"), list(itertools.product(Phase, Cue)))
def test_a_pair_is_in_the_table_or_our_mistake(phase: Phase, cue: Cue) -> None:
    if (phase, cue) in PHASES:
        assert following(phase, cue) is PHASES[phase, cue]
    else:
        with pytest.raises(LocalProtocolError):
            following(phase, cue)


def test_nothing_leads_out_of_the_end() -> None:
    assert all(phase is not Phase.FINISHED for phase, _ in PHASES)
