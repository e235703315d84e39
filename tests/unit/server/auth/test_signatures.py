"""A signed message is let through and nothing else is: Polar's vectors, every changed byte, and garbage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.values import seconds
from server.auth.errors import SignatureRefused
from server.auth.signatures import MAX_ID_CHARS, MAX_SIGNATURES, HeaderPrefix, verify

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "fixtures" / "polar" / "signature_vectors.json").read_text()
)["vectors"]
NOW_S = 1_795_168_807
NOW = seconds(NOW_S)
SECRET = "whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtMzI="
KEY = SECRET.encode()
BODY = '{"type":"order.paid","data":{"note":"café"}}'.encode()
ID, STAMP = "msg_1", str(NOW_S)


def digest_of(key: bytes, message_id: str = ID, stamp: str = STAMP, body: bytes = BODY) -> str:
    signed = message_id.encode() + b"." + stamp.encode() + b"." + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(
    signature: str | None = None, message_id: str = ID, stamp: str = STAMP, prefix: str = "webhook"
) -> dict[str, str]:
    return {
        f"{prefix}-id": message_id,
        f"{prefix}-timestamp": stamp,
        f"{prefix}-signature": f"v1,{digest_of(KEY)}" if signature is None else signature,
    }


def passes(
    given_headers: Mapping[str, str],
    body: bytes = BODY,
    *secrets: str,
    now: float = NOW,
    prefix: HeaderPrefix = "webhook",
) -> bool:
    try:
        return verify(given_headers, body, secrets or (SECRET,), now, prefix) == given_headers.get(f"{prefix}-id")
    except SignatureRefused:
        return False


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_polars_vectors(vector: dict[str, Any]) -> None:
    sent = {name: vector[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    assert passes(sent, vector["body"].encode(), vector["secret"], now=seconds(vector["now"])) is vector["valid"]


def test_all_vectors_are_there() -> None:
    assert (len(VECTORS), sum(vector["valid"] for vector in VECTORS)) == (14, 6)


def test_svix_has_other_header_names_and_the_standard_key() -> None:
    decoded = base64.b64decode(SECRET.removeprefix("whsec_"))
    svix = headers(f"v1,{digest_of(decoded)}", prefix="svix")
    assert passes(svix, prefix="svix")
    assert not passes(svix)
    assert not passes(headers(), prefix="svix")


def test_the_old_secret_is_good_beside_the_new_one() -> None:
    assert passes(headers(), BODY, "a new secret", SECRET)
    assert not passes(headers(), BODY, "a new secret")


def test_without_a_secret_nothing_passes() -> None:
    with pytest.raises(SignatureRefused):
        verify(headers(), BODY, (), NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_===="])
def test_an_empty_key_opens_nothing(secret: str) -> None:
    assert not passes(headers(f"v1,{digest_of(b'')}"), BODY, secret)


@pytest.mark.parametrize(("away_s", "expected"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_five_minutes_either_way(away_s: int, expected: bool) -> None:
    assert passes(headers(), now=seconds(NOW_S + away_s)) is expected


@pytest.mark.parametrize(
    "stamp", ["", " ", "-1", "+1", "1e9", f"{NOW_S}.0", f" {NOW_S}", "١٧٩٥١٦٨٨٠٧", "²", "9" * 13, "9" * 5_000]
)
def test_a_time_is_a_whole_number(stamp: str) -> None:
    assert not passes(headers(f"v1,{digest_of(KEY, stamp=stamp)}", stamp=stamp))


@pytest.mark.parametrize("message_id", ["", "a\nb", "é", "\x00", "x" * (MAX_ID_CHARS + 1)])
def test_an_id_is_short_and_printable(message_id: str) -> None:
    assert not passes(headers(f"v1,{digest_of(KEY, message_id)}", message_id))


def test_the_longest_id_passes() -> None:
    longest = "x" * MAX_ID_CHARS
    assert passes(headers(f"v1,{digest_of(KEY, longest)}", longest))


def test_the_right_signature_is_found_among_others_but_not_behind_any_number_of_them() -> None:
    right = f"v1,{digest_of(KEY)}"
    assert passes(headers(f"v1a,{digest_of(KEY)}  v1 v1, , v1,é {right} v2,x"))
    assert passes(headers("v1,x " * (MAX_SIGNATURES - 1) + right))
    assert not passes(headers("v1,x " * MAX_SIGNATURES + right))


@pytest.mark.parametrize("spoil", [str.lower, lambda text: text[:-1], lambda text: f"{text}=", lambda text: text[1:]])
def test_a_signature_is_good_as_a_whole(spoil: Any) -> None:
    assert not passes(headers(f"v1,{spoil(digest_of(KEY))}"))


@given(place=st.integers(0, len(BODY) - 1), byte=st.integers(1, 255))
def test_any_changed_byte_of_the_body_is_refused(place: int, byte: int) -> None:
    changed = BODY[:place] + bytes((BODY[place] ^ byte,)) + BODY[place + 1 :]
    assert passes(headers())
    assert not passes(headers(), changed)


@given(body=st.binary())
@example(BODY[:-1])
@example(BODY + b"\n")
@example(b"")
def test_no_other_body_passes(body: bytes) -> None:
    assert passes(headers(), body) is (body == BODY)


@given(place=st.integers(0, len(ID) - 1), letter=st.characters(min_codepoint=32, max_codepoint=126))
def test_any_changed_letter_of_the_id_is_refused(place: int, letter: str) -> None:
    changed = ID[:place] + letter + ID[place + 1 :]
    assert passes(headers(message_id=changed)) is (changed == ID)


@given(stamp=st.integers(NOW_S - 300, NOW_S + 300).map(str))
def test_any_changed_time_is_refused(stamp: str) -> None:
    assert passes(headers(stamp=stamp)) is (stamp == STAMP)


def test_what_belongs_to_the_id_cannot_be_moved_to_the_time() -> None:
    """The dots do not help: an id may hold one, a time may not."""
    moved = headers(f"v1,{digest_of(KEY, f'{ID}.{STAMP}', STAMP)}", f"{ID}.{STAMP}")
    assert passes(moved)
    assert not passes({**moved, "webhook-id": ID, "webhook-timestamp": f"{STAMP}.{STAMP}"})


names = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"])
texts = st.text() | st.text(st.sampled_from("v1, =+/aA09"), max_size=60) | st.just(STAMP) | st.just(ID)


@given(sent=st.dictionaries(names | st.text(), texts), body=st.binary(), secrets=st.lists(st.text(), max_size=3))
@example(sent={"webhook-id": ID, "webhook-timestamp": STAMP, "webhook-signature": "v1,\ud800"}, body=b"", secrets=[""])
@example(sent={"webhook-id": ID, "webhook-timestamp": STAMP, "webhook-signature": "v1,"}, body=b"", secrets=["\udc80"])
def test_garbage_is_refused_and_nothing_else_happens(sent: dict[str, str], body: bytes, secrets: list[str]) -> None:
    with pytest.raises(SignatureRefused):
        verify(sent, body, secrets, NOW)
    with pytest.raises(SignatureRefused) as refused:
        verify({**headers(), **sent, "webhook-signature": "v1,AAAA"}, body, (SECRET,), NOW)
    assert SECRET not in str(refused.value)
