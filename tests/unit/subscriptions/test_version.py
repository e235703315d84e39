"""Timestamps and state versions as they travel."""

from __future__ import annotations

import pytest

from schema.values import Timestamp
from subscriptions.errors import RemoteProtocolError
from subscriptions.version import START, StateVersion, WireVersion, decode_timestamp, encode_timestamp

KNOWN = [(0, "AAAAAAAAAAA="), (1, "AQAAAAAAAAA="), (1_700_000_000_000_000_000, "AAAqNv6clxc=")]


@pytest.mark.parametrize(("number", "text"), KNOWN)
def test_timestamps_travel_as_the_protocol_says(number: int, text: str) -> None:
    assert encode_timestamp(Timestamp(number)) == text
    assert decode_timestamp(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAA",
        "AAAAAAAAAAA",
        "AAAAAAAAAAA=\n",
        "AAAAAAAAAA\u00e9=",
        "!!!!!!!!!!!=",
        "//////////8=",
        "AAAAAAAAAAAAAAAA",
    ],
)
def test_other_text_is_the_peers_mistake(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_timestamp(text)


def test_a_version_survives_the_journey() -> None:
    version = StateVersion(3, 1, Timestamp(1))
    assert version.wire() == WireVersion(3, 1, "AQAAAAAAAAA=")
    assert StateVersion.of(version.wire()) == version


def test_every_socket_begins_at_nothing() -> None:
    assert START.wire() == WireVersion(0, 0, "AAAAAAAAAAA=")
