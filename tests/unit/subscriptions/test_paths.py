"""The one name of a function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriptions.errors import RemoteProtocolError
from subscriptions.paths import canonical

GOOD = [
    ("messages:list", "messages:list"),
    ("messages.js:list", "messages:list"),
    ("messages", "messages:default"),
    ("messages.js", "messages:default"),
    ("admin/users:list", "admin/users:list"),
    ("admin.v2/users.js:_list2", "admin.v2/users:_list2"),
    ("a:" + "f" * 64, "a:" + "f" * 64),
]
BAD = [
    "", ":", "a:", ":f", "a:b:c", "/a:f", "a/:f", "a//b:f", "../a:f", "./a:f", "a.ts:f", "a.js.js:f", ".js:f", "_:f",
    "a b:f", "\u00e4:f", "a:1f", "a:___", "a:f-g", "a:f\n", "a\n:f", "a:" + "f" * 65, "a" * 2000 + ":f",
]  # fmt: skip


@pytest.mark.parametrize(("path", "name"), GOOD)
def test_spellings_of_one_function(path: str, name: str) -> None:
    assert canonical(path) == name


@pytest.mark.parametrize("path", BAD)
def test_what_names_no_function(path: str) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical(path)


@given(st.text("ab_./:js1", max_size=12))
def test_a_canonical_path_is_its_own_canonical_path(path: str) -> None:
    try:
        name = canonical(path)
    except RemoteProtocolError:
        return
    assert canonical(name) == name
