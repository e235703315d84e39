"""Who is asking, and until when."""

from __future__ import annotations

import pytest

from subscriptions.errors import VersionMismatch
from subscriptions.identity import Identity


def test_the_version_grows_whoever_is_named() -> None:
    identity = Identity("anyone")
    assert not identity.leave()
    assert identity.become("ana", 10.0)
    assert not identity.become("ana", 20.0)
    assert identity.leave()
    assert (identity.version, identity.caller) == (4, "anyone")
    identity.check_base(4)
    with pytest.raises(VersionMismatch):
        identity.check_base(3)


def test_a_token_lasts_until_its_end() -> None:
    identity = Identity("anyone")
    assert not identity.lapsed(1e12)
    identity.become("ana", 10.0)
    assert (identity.lapsed(9.9), identity.lapsed(10.0)) == (False, True)
    assert repr(identity) == "<Identity v1 until 10.0>"
    identity.leave()
    assert not identity.lapsed(1e12)
