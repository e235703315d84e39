"""Which differences between a balance and its ledger make the house unready: those that nobody has looked at."""

from __future__ import annotations

import pytest

from schema.billing import LedgerAudit


@pytest.mark.parametrize(
    ("differences", "acknowledged", "has_failed"),
    [
        ("", None, False),
        ("ana", None, True),
        ("ana ben", "ana ben", False),
        ("ben", "ana ben", False),
        ("", "ana ben", False),
        ("ben cleo", "ana ben", True),
    ],
)
def test_what_was_acknowledged_stays_so_when_another_is_put_right(
    differences: str, acknowledged: str | None, has_failed: bool
) -> None:
    count = len(differences.split())
    found = LedgerAudit(audited_at=0.0, imbalanced=count, differences=differences, acknowledged=acknowledged)
    assert found.has_failed is has_failed
