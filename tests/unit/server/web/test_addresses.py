"""Addresses as limits count them."""

from __future__ import annotations

import pytest

from server.web.addresses import NOWHERE, counted


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unknown", NOWHERE),
        ("", NOWHERE),
        ("203.0.113.7, 10.0.0.1", NOWHERE),
    ],
)
def test_what_counts_as_one_address(host: str, expected: str) -> None:
    assert counted(host) == expected
