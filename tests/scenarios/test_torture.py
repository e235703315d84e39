"""A short torture in every run of the suite; the long one is `make torture`. And whether its audit would notice anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Raw

from tests.scenarios.torture import torture
from tests.scenarios.torture_audit import Books, Row
from tests.scenarios.torture_member import Member, Told
from tests.scenarios.torture_outside import Sale

SEED, KILLS, MEAN_PAUSE_S = 20_263, 8, 0.9
Rows = dict[str, list[Row]]


async def test_killing_anything_at_any_instant_breaks_no_promise(tmp_path: Path) -> None:
    report = await torture(SEED, KILLS, tmp_path, mean_pause_s=MEAN_PAUSE_S)
    assert not report.problems, str(report)
    assert report.counts["generations"], str(report)


def right_books() -> Rows:
    """One photo, drawn and paid; one order."""
    return {
        "users": [{"userId": "ana", "credits": 17}],
        "ledger": [
            moved("trial", 10, 10, "trial:ana"),
            {**moved("spend", -1, 9, "generation:job"), "imageId": "original"},
            {**moved("order", 8, 17, "order:0"), "orderId": "order-0"},
        ],
        "payments": [{"orderId": "order-0", "creditsGranted": 8, "creditsRevoked": 0}],
        "parkedOrders": [],
        "images": [
            {"_id": "original", "isGenerated": False, "generationStatus": "completed", "body": "photo"},
            {"_id": "result", "isGenerated": True, "originalImageId": "original", "body": "picture"},
        ],
        "jobs": [{"_id": "job", "kind": "generate_image", "state": "succeeded", "subject": "original", "attempt": 1}],
        "receipts": [{"_id": "session:0", "value": '"original"'}],
        "_storage": [
            {"_id": "photo", "kind": "upload", "claimedAt": 1.0},
            {"_id": "picture", "kind": "result", "claimedAt": 1.0},
        ],
    }


def moved(kind: str, amount: int, balance: int, key: str) -> Row:
    """A movement of ana's."""
    return {"userId": "ana", "kind": kind, "amount": amount, "balanceAfter": balance, "key": key}


async def problems(rows: Rows) -> list[str]:
    """What the audit says of these books, when ana was told that her photo is taken."""

    async def buy(_: str) -> None: ...

    ana = Member("ana", 0, [], "token", buy)
    rows["receipts"] = [{**each, "_id": f"{ana.session}:0"} for each in rows["receipts"]]
    path, args = "images:uploadAndScheduleGeneration", {"storageId": "photo"}
    ana.told.append(Told(0, path, args, Raw(b'"original"')))
    ana.uploads.add("photo")
    ana.bodies["original"] = "photo"
    return list(Books(rows, [ana]).problems([Sale("ana")]))


async def test_right_books_are_passed() -> None:
    assert await problems(right_books()) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda rows: rows["users"][0].update(credits=18), "has 18, the movements sum to 17"),
        (lambda rows: rows["ledger"][1].update(balanceAfter=8), "left 8, the sum so far is 9"),
        (lambda rows: rows["ledger"].append(rows["ledger"][2]), "order:0 is written 2 times"),
        (lambda rows: rows["ledger"].pop(), "order-0 of ana was granted 0 times"),
        (lambda rows: rows["payments"].clear(), "order-0 of ana was granted 1 times"),
        (lambda rows: rows["payments"][0].update(creditsRevoked=4), "4 taken back, not 0"),
        (lambda rows: rows["ledger"].append(moved("order_refund", -4, 13, "x")), "4 taken back and 0 owed, of 0"),
        (lambda rows: rows["parkedOrders"].append({"orderId": "order-1", "reason": "buyer_unknown"}), "is parked"),
        (lambda rows: rows["ledger"].pop(1), "generation:job was never paid"),
        (
            lambda rows: rows["ledger"].append({**moved("refund", 1, 18, "refund:job"), "imageId": "original"}),
            "is paid 0",
        ),
        (lambda rows: rows["images"].append(rows["images"][1]), "has 2 results"),
        (lambda rows: rows["images"].pop(), "is paid and has no result"),
        (lambda rows: rows["images"].pop(0), "is gone, and nobody deleted it"),
        (lambda rows: rows["images"][0].update(generationStatus="processing"), "stuck in processing"),
        (lambda rows: rows["jobs"][0].update(state="leased"), "still leased"),
        (lambda rows: rows["jobs"][0].update(state="dead"), "has 1 credits spent on it"),
        (lambda rows: rows["receipts"].clear(), "the receipt says None"),
        (lambda rows: rows["_storage"].pop(0), "upload photo of ana is lost"),
        (lambda rows: rows["_storage"].pop(), "image result has no file"),
        (lambda rows: rows["_storage"].append({"_id": "stray", "kind": "result"}), "is claimed by no image"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_is_wrong_is_said(wrong: Callable[[Rows], object], says: str) -> None:
    rows = right_books()
    wrong(rows)
    found = await problems(rows)
    assert any(says in each for each in found), found
