"""Ids: documents' sort by creation, capabilities cannot be guessed, and all are plain to read and to send."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from server.ids import ALPHABET, capability_id, document_id, request_id

MOMENTS = st.floats(0, 4_000_000_000_000)


@given(MOMENTS, MOMENTS)
def test_document_ids_sort_by_the_millisecond(one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    if int(earlier) < int(later):
        assert document_id(earlier) < document_id(later)


@given(MOMENTS)
def test_document_ids_have_one_form_and_never_repeat(now: float) -> None:
    found = {document_id(now) for _ in range(50)}
    assert len(found) == 50
    assert all(re.fullmatch(f"[{ALPHABET}]{{26}}", each) for each in found)


def test_capabilities_have_160_random_bits() -> None:
    found = [capability_id() for _ in range(500)]
    assert len(set(found)) == 500
    assert all(re.fullmatch(f"[{ALPHABET}]{{32}}", each) for each in found)
    for place in range(32):
        assert len({each[place] for each in found}) > 16


def test_request_ids_are_sixteen_hexadecimal_characters() -> None:
    assert all(re.fullmatch(r"[0-9a-f]{16}", request_id()) for _ in range(20))
    assert request_id() != request_id()
