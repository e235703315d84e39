"""Until when strangers may read an image's file: every combination of who has a say."""

from __future__ import annotations

import itertools

import pytest

from schema.images import Image
from schema.values import Id, Millis
from server.visibility import NEVER, public_until

AT: Millis = 1_800_000_000_000.0
FOR_EVER = None

#   disabled, featured, sharing, expires -> until
TABLE: dict[tuple[bool, bool, bool | None, Millis | None], Millis | None] = {
    (False, False, None, None): FOR_EVER,
    (False, False, None, AT): AT,
    (False, False, True, None): FOR_EVER,
    (False, False, True, AT): AT,
    (False, False, False, None): NEVER,
    (False, False, False, AT): NEVER,
    **dict.fromkeys(itertools.product([False], [True], [None, True, False], [None, AT]), FOR_EVER),
    **dict.fromkeys(itertools.product([True], [False, True], [None, True, False], [None, AT]), NEVER),
}


def test_the_table_is_complete() -> None:
    assert set(itertools.product([False, True], [False, True], [None, True, False], [None, AT])) == TABLE.keys()


@pytest.mark.parametrize(("disabled", "featured", "sharing", "expires"), TABLE)
def test_until_when(disabled: bool, featured: bool, sharing: bool | None, expires: Millis | None) -> None:
    image = Image(
        body=Id("blob"),
        created_at=1.0,
        is_disabled_by_admin=disabled,
        is_featured=featured,
        sharing_enabled=sharing,
        share_expires_at=expires,
    )
    assert public_until(image) == TABLE[disabled, featured, sharing, expires]


def test_never_is_over() -> None:
    assert NEVER <= 0.0
