"""Names and signatures: what opens where, and what never meets."""

from __future__ import annotations

import msgspec
import pytest

from server.fleet.seal import NAME_BYTES, Seal
from server.fleet.version import version_of
from subscriptions.answers import Question

KEY = bytes(range(32))
ASKED = Question("images:getPublicGallery", b"{}", None)
SINCE = "commit 7"
OURS = Seal(KEY, b"1")


def test_a_content_opens_under_its_own_name_only() -> None:
    name, other = OURS.name(ASKED, SINCE), OURS.name(ASKED, "commit 8")
    closed = OURS.close(name, b"content")
    assert len(name) == NAME_BYTES
    assert OURS.open(name, closed) == b"content"
    assert OURS.open(other, closed) is None
    assert Seal(KEY[::-1], b"1").open(name, closed) is None


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17])
def test_what_we_did_not_close_does_not_open(length: int) -> None:
    assert OURS.open(OURS.name(ASKED, SINCE), bytes(length)) is None


@pytest.mark.parametrize(
    "changed",
    [{"path": "images:getImages"}, {"arguments": b'{"a":1}'}, {"journal": "its end"}, {"journal": ""}],
    ids=str,
)
def test_every_question_has_a_name_of_its_own(changed: dict[str, object]) -> None:
    assert OURS.name(msgspec.structs.replace(ASKED, **changed), SINCE) != OURS.name(ASKED, SINCE)


def test_two_deployments_and_two_versions_have_no_name_in_common() -> None:
    names = {seal.name(ASKED, SINCE) for seal in (OURS, Seal(KEY, b"2"), Seal(KEY[::-1], b"1"))}
    assert len(names) == 3
    assert OURS.place("beats") == Seal(KEY, b"2").place("beats") != Seal(KEY[::-1], b"1").place("beats")


def test_the_version_is_that_of_the_sources_and_of_what_answers_contain() -> None:
    here, there = version_of("http://here"), version_of("http://there")
    assert here == version_of("http://here") != there
    assert here != version_of("http://here", "")
