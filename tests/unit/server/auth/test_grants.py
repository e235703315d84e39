"""Signed texts open where they were sealed for, give back exactly what went in, and cannot be made up."""

from __future__ import annotations

import base64
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.errors import InvalidCursor
from schema.keys import KeyRange, key_of
from schema.paging import END, MAX_CURSOR_CHARS, CursorCodec, Position, binding_of
from schema.values import Scalar, hours
from server.auth.errors import GrantRefused
from server.auth.grants import MAX_GRANT_CHARS, UPLOAD_LIFETIME_MS, Grants, SignedCursors, UploadGrant

KEY = bytes(range(32))
NOW = 1_764_000_000_000.0
GRANTS = Grants(KEY)
CURSORS: CursorCodec = SignedCursors(KEY)
URL_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=40)
positions = st.lists(scalars, max_size=5).map(lambda values: Position(tuple(values)))
bindings = st.text(max_size=60)
subjects = st.text(min_size=1, max_size=128)
nonces = st.text(max_size=40)


def exactly(values: tuple[Scalar, ...]) -> list[tuple[type, str]]:
    """Values with their types, so that True is not 1, 1 is not 1.0, 0.0 is not -0.0, and NaN is NaN."""
    return [(type(value), value.hex() if isinstance(value, float) else repr(value)) for value in values]


@given(binding=bindings, position=positions)
@example(binding="", position=END)
@example(binding="b", position=Position((None, True, False, 0, 0.0, -0.0, 1, 1.0, "", "1", math.inf, math.nan)))
@example(binding="b", position=Position((2**53 + 1, -(2**63), 2**63 - 1, 5e-324, "null", "\x00", "👩‍👩‍👧")))
def test_a_position_comes_back_exactly(binding: str, position: Position) -> None:
    text = CURSORS.seal(binding, position)
    assert set(text) <= URL_SAFE
    assert exactly(CURSORS.open(binding, text).values) == exactly(position.values)


@given(binding=bindings, position=positions, other=bindings)
def test_a_cursor_opens_under_its_own_binding_only(binding: str, position: Position, other: str) -> None:
    if other != binding:
        with pytest.raises(InvalidCursor):
            CURSORS.open(other, CURSORS.seal(binding, position))


def test_a_cursor_of_one_person_does_not_open_for_another() -> None:
    ana, bob = (binding_of(KeyRange("images", "by_user", key_of(user))) for user in ("user_ana", "user_bob"))
    text = CURSORS.seal(ana, Position((NOW, "image1")))
    assert CURSORS.open(ana, text) == Position((NOW, "image1"))
    with pytest.raises(InvalidCursor):
        CURSORS.open(bob, text)


@given(position=positions, at=st.integers(min_value=0), change=st.integers(1, 255))
def test_no_byte_of_a_cursor_can_be_changed(position: Position, at: int, change: int) -> None:
    sealed = bytearray(decoded(CURSORS.seal("b", position)))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(InvalidCursor):
        CURSORS.open("b", encoded(bytes(sealed)))


@given(position=positions, at=st.integers(min_value=0), character=st.characters(max_codepoint=0x17F))
def test_no_character_of_a_cursor_can_be_changed(position: Position, at: int, character: str) -> None:
    text = CURSORS.seal("b", position)
    at %= len(text)
    changed = text[:at] + character + text[at + 1 :]
    if changed != text:
        with pytest.raises(InvalidCursor):
            CURSORS.open("b", changed)


@given(position=positions, junk=st.text(alphabet="A=-_+/ \n.", min_size=1, max_size=8))
def test_nothing_can_be_added_to_a_cursor_or_taken_away(position: Position, junk: str) -> None:
    text = CURSORS.seal("b", position)
    for changed in (text + junk, junk + text, text[: len(text) // 2] + junk + text[len(text) // 2 :], text[:-1], ""):
        with pytest.raises(InvalidCursor):
            CURSORS.open("b", changed)


@given(text=st.text() | st.binary().map(lambda content: encoded(content)))
@example(text="\ud800")
@example(text="A" * (MAX_CURSOR_CHARS + 1))
def test_made_up_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open("b", text)
    with pytest.raises(GrantRefused, match="not valid"):
        GRANTS.open_upload(text, NOW)


def test_a_cursor_of_another_key_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open("b", SignedCursors(bytes(32)).seal("b", END))


def test_a_usual_cursor_is_short() -> None:
    assert len(CURSORS.seal("b", Position((NOW, "0123456789abcdef01234567")))) < 80


def test_a_cursor_too_long_to_come_back_is_not_made() -> None:
    with pytest.raises(ValueError, match="cannot be paged"):
        CURSORS.seal("b", Position(("x" * MAX_CURSOR_CHARS,)))


@given(subject=subjects, nonce=nonces, age=st.floats(0, UPLOAD_LIFETIME_MS, exclude_max=True))
def test_an_upload_token_opens_for_an_hour(subject: str, nonce: str, age: float) -> None:
    token = GRANTS.upload_token(subject, NOW, nonce)
    assert set(token) <= URL_SAFE
    assert len(token) <= MAX_GRANT_CHARS
    if NOW + age < NOW + hours(1):
        assert GRANTS.open_upload(token, NOW + age) == UploadGrant(subject, nonce, NOW + hours(1))
    with pytest.raises(GrantRefused, match="expired") as refusal:
        GRANTS.open_upload(token, NOW + hours(1) + age)
    assert refusal.value.fault == "expired"


@given(at=st.integers(min_value=0), change=st.integers(1, 255), late=st.booleans())
def test_no_byte_of_an_upload_token_can_be_changed(at: int, change: int, late: bool) -> None:
    sealed = bytearray(decoded(GRANTS.upload_token("user_ana", NOW, "n1")))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(GrantRefused) as refusal:
        GRANTS.open_upload(encoded(bytes(sealed)), NOW + (hours(2) if late else 0.0))
    assert refusal.value.fault == "invalid"


def test_each_purpose_has_its_own_key() -> None:
    token = GRANTS.upload_token("user_ana", NOW, "n1")
    with pytest.raises(InvalidCursor):
        CURSORS.open("", token)
    cursor = CURSORS.seal("", Position(("user_ana", "n1", NOW + hours(1))))
    assert decoded(cursor)[16:] == decoded(token)[16:], "the same content, so only the key tells them apart"
    with pytest.raises(GrantRefused, match="not valid"):
        GRANTS.open_upload(cursor, NOW)


def test_an_upload_token_too_long_to_come_back_is_not_made() -> None:
    with pytest.raises(ValueError, match="too long"):
        GRANTS.upload_token("x" * MAX_GRANT_CHARS, NOW, "n1")


def test_a_weak_key_is_refused() -> None:
    for make in (Grants, SignedCursors):
        with pytest.raises(ValueError, match="at least 32 bytes"):
            make(b"short")


def test_no_key_shows() -> None:
    assert (repr(GRANTS), repr(CURSORS)) == ("Grants(uploads)", "SignedCursors()")


def decoded(text: str) -> bytes:
    """What is inside a sealed text."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(content: bytes) -> str:
    """The text of these bytes."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
