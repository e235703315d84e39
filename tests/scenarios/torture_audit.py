"""The audit after the torture: what the contract promises about credits, held against every row and every byte.

Invariant: it reads and judges; only `swept` changes something, and that is what it judges.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from msgspec import Raw

from schema.system import Job
from schema.values import Id, Millis, hours
from server.database import Database
from server.functions.sweeping import UNCLAIMED_FOR, Sweeper
from server.store.audit import imbalances
from server.store.gridfs import BlobMissing, BlobVault
from tests.scenarios.torture_member import Member
from tests.scenarios.torture_outside import PACK, Sale

Row: TypeAlias = dict[str, Any]
TABLES = ("users", "ledger", "payments", "parkedOrders", "images", "jobs", "receipts", "_storage")
ALL = 1_000_000
REFUND_ON_FAILURE = {"succeeded": 1, "dead": 0, "cancelled": 0}
"""What is left spent of a job's credit, by how the job ended."""


class Books:
    """Everything the product wrote, by table, in the order in which it was written."""

    def __init__(self, rows: dict[str, list[Row]], members: Sequence[Member]) -> None:
        self.rows, self.members = rows, members
        self.images: dict[str, Row] = {each["_id"]: each for each in rows["images"]}
        self.jobs = [each for each in rows["jobs"] if each["kind"] == "generate_image"]
        self.deleting = {each for member in members for each in member.deleting}
        self.robbed = {each for member in members for each in member.robbed}

    def __repr__(self) -> str:
        return f"<Books {', '.join(f'{len(rows)} {name}' for name, rows in self.rows.items())}>"

    @classmethod
    async def read(cls, database: Database, members: Sequence[Member]) -> Books:
        """The books as they are now; the ledger in the order of commits, of which only the oplog knows."""
        tables = database.store.database
        rows = {name: await tables[name].find().to_list() for name in TABLES}
        place: dict[str, int] = {}
        name = f"{tables.name}.ledger"
        oplog = database.store.client["local"]["oplog.rs"]
        async for entry in oplog.find({"$or": [{"ns": name}, {"o.applyOps.ns": name}]}).sort("$natural", 1):
            for each in entry["o"].get("applyOps", [entry]):
                if each["ns"] == name and each["op"] == "i":
                    place[each["o"]["_id"]] = len(place)
        rows["ledger"].sort(key=lambda each: place[each["_id"]])
        return cls(rows, members)

    def problems(self, sales: Sequence[Sale]) -> Iterator[str]:
        """Every broken promise, in a sentence."""
        yield from self.balances()
        yield from self.movements()
        yield from self.orders(sales)
        yield from self.originals()
        yield from self.unfinished()
        yield from self.answers()
        yield from self.files()

    def balances(self) -> Iterator[str]:
        """A balance is the sum of its movements, each of which says what it left; it never falls below zero."""
        movements = defaultdict(list)
        for each in self.rows["ledger"]:
            movements[each["userId"]].append(each)
        for user in self.rows["users"]:
            balance = 0
            for each in movements.pop(user["userId"], []):
                balance += each["amount"]
                if balance != each["balanceAfter"]:
                    yield f"{user['userId']}: {each['key']} left {each['balanceAfter']}, the sum so far is {balance}"
                if each["balanceAfter"] < 0:
                    yield f"{user['userId']}: {each['key']} left a balance below zero"
            if user["credits"] != balance:
                yield f"{user['userId']}: has {user['credits']}, the movements sum to {balance}"
        for stranger in movements:
            yield f"{stranger}: has movements and no account"

    def movements(self) -> Iterator[str]:
        """Every key once; every refund answers a spend of the same job and image."""
        keys = Counter(each["key"] for each in self.rows["ledger"])
        yield from (f"{key} is written {count} times" for key, count in keys.items() if count > 1)
        spent = {each["key"]: each for each in self.rows["ledger"] if each["kind"] == "spend"}
        jobs = {f"generation:{each['_id']}" for each in self.jobs}
        yield from (f"{key} pays for no job" for key in set(spent) - jobs)
        yield from (f"{key} was never paid" for key in jobs - set(spent))
        for each in self.rows["ledger"]:
            if each["kind"] == "refund":
                paid = spent.get(each["key"].replace("refund:", "generation:"))
                if paid is None or (paid["imageId"], paid["userId"]) != (each["imageId"], each["userId"]):
                    yield f"{each['key']} returns what was not spent"

    def orders(self, sales: Sequence[Sale]) -> Iterator[str]:
        """Every order is granted once and taken back as far as it was refunded; what the balance could not bear is owed."""
        granted = Counter(each["orderId"] for each in self.rows["ledger"] if each["kind"] == "order")
        payments = {each["orderId"]: each for each in self.rows["payments"]}
        yield from (f"order {each['orderId']} is parked: {each['reason']}" for each in self.rows["parkedOrders"])
        back: Counter[str] = Counter()
        for number, sale in enumerate(sales):
            payment = payments.get(f"order-{number}", {})
            if granted[f"order-{number}"] != 1 or payment.get("creditsGranted") != PACK:
                yield f"order-{number} of {sale.name} was granted {granted[f'order-{number}']} times"
            if payment.get("creditsRevoked") != sale.revoked:
                yield f"order-{number} of {sale.name}: {payment.get('creditsRevoked')} taken back, not {sale.revoked}"
            back[sale.name] += sale.revoked
        taken: Counter[str] = Counter()
        for each in self.rows["ledger"]:
            if each["kind"] == "order_refund":
                taken[each["userId"]] -= each["amount"]
        for user in self.rows["users"]:
            name, owed = user["userId"], user.get("creditsOwed", 0)
            if taken[name] + owed != back[name]:
                yield f"{name}: {taken[name]} taken back and {owed} owed, of {back[name]} refunded"

    def originals(self) -> Iterator[str]:
        """A result and a spent credit; or none and the credit back; or deleted, by its owner."""
        results = Counter(each.get("originalImageId") for each in self.rows["images"] if each["isGenerated"])
        spent: Counter[str] = Counter()
        for each in self.rows["ledger"]:
            if each["kind"] in ("spend", "refund"):
                spent[each["imageId"]] -= each["amount"]
        states = defaultdict(list)
        for job in self.jobs:
            states[job["subject"]].append(job["state"])
        yield from (f"original {each} has {n} results" for each, n in results.items() if n > 1)
        yield from (f"original {each['_id']} was never paid" for each in self._originals() if each["_id"] not in spent)
        for original, paid in spent.items():
            row, ends = self.images.get(original), states[original]
            what = f"original {original} ({row and row['generationStatus']}, jobs {ends})"
            if paid != sum(REFUND_ON_FAILURE.get(state, 0) for state in ends) or paid not in (0, 1):
                yield f"{what} has {paid} credits spent on it"
            if row is None and original not in self.deleting:
                yield f"{what} is gone, and nobody deleted it"
            if row is not None and (row["generationStatus"] == "completed") != (paid == 1):
                yield f"{what} is paid {paid}"
            if paid == 1 and not results[original] and original not in self.robbed | self.deleting:
                yield f"{what} is paid and has no result, and nobody deleted one"
            if paid == 0 and results[original]:
                yield f"{what} has a result and is not paid"

    def unfinished(self) -> Iterator[str]:
        """Nothing is left half done, and no chore was given up."""
        for each in self._originals():
            if each["generationStatus"] not in ("completed", "failed"):
                yield f"original {each['_id']} is stuck in {each['generationStatus']}"
        for job in self.rows["jobs"]:
            if job["state"] in ("queued", "leased"):
                yield f"{job['kind']} {job['_id']} is still {job['state']}, attempt {job['attempt']}"
            elif job["state"] == "dead" and job["kind"] != "generate_image":
                yield f"{job['kind']} {job['_id']} was given up: {job.get('reason')}"

    def answers(self) -> Iterator[str]:
        """What was acknowledged is so; what was refused was not done."""
        receipts = {each["_id"]: each["value"] for each in self.rows["receipts"]}
        for member in self.members:
            for told in member.told:
                receipt = receipts.get(f"{member.session}:{told.request_id}")
                what = f"{member.name} was told of {told.path} {told.args}: "
                if not isinstance(told.outcome, Raw):
                    if receipt is not None:
                        yield f"{what}{told.outcome.message!r}, and it was done: {receipt}"
                elif receipt != bytes(told.outcome).decode():
                    yield f"{what}{bytes(told.outcome).decode()}, and the receipt says {receipt}"
                elif told.path.endswith("deleteImage") and told.args["imageId"] in self.images:
                    yield f"{what}deleted, and it is there"
                elif told.path.endswith("uploadAndScheduleGeneration"):
                    image = bytes(told.outcome).decode().strip('"')
                    if image not in self.images and image not in self.deleting:
                        yield f"{what}{image}, and it is gone"
            for image, wanted in member.featured.items():
                touched = sum(image in each.featured for each in self.members)
                known = wanted is not None and touched == 1 and image in self.images
                if known and self.images[image]["isFeatured"] is not wanted:
                    yield f"{member.name} was told that {image} is featured: {wanted}, and it is not so"

    def files(self) -> Iterator[str]:
        """An image has its file, a claimed file its image; an acknowledged upload is there until its image is deleted."""
        rows = {each["_id"]: each for each in self.rows["_storage"]}
        used = {each["body"] for each in self.rows["images"]}
        yield from (f"image {each['_id']} has no file" for each in self.rows["images"] if each["body"] not in rows)
        yield from (
            f"file {each['_id']} ({each['kind']}) is claimed by no image"
            for each in rows.values()
            if each["_id"] not in used and (each["kind"] == "result" or "claimedAt" in each)
        )
        for member in self.members:
            gone = {member.bodies.get(each) for each in self.deleting}
            yield from (f"upload {each} of {member.name} is lost" for each in member.uploads - set(rows) - gone)

    def _originals(self) -> Iterator[Row]:
        return (each for each in self.rows["images"] if not each["isGenerated"])


async def contents(books: Books, vault: BlobVault) -> list[str]:
    """Every row's content is whole and as it was measured; every content that was to be erased is."""
    wrong = []
    for each in books.rows["_storage"]:
        try:
            content = b"".join([piece async for piece in vault.read(each["_id"])])
        except BlobMissing:
            wrong.append(f"file {each['_id']} ({each['kind']}) has a row and no content")
            continue
        if (len(content), hashlib.sha256(content).hexdigest()) != (each["size"], each["sha256"]):
            wrong.append(f"file {each['_id']} ({each['kind']}) is not what was measured")
    kept = await stored(vault)
    erased = {each["subject"] for each in books.rows["jobs"] if each["kind"] == "erase_file"}
    return [*wrong, *(f"file {each} was to be erased and is stored" for each in sorted(erased & kept))]


async def swept(database: Database, vault: BlobVault, now: Millis) -> tuple[int, list[str]]:
    """Sweep as in the far future: how many contents had no row, and what rows and vault then disagree about."""
    storage = database.store.database["_storage"]
    before, rows = await stored(vault), {each["_id"] async for each in storage.find({}, {"_id": 1})}
    moment = now + UNCLAIMED_FOR + hours(1)
    sweep = Job(
        id=Id("torture"), kind="sweep_files", subject="sweep_files", arguments="{}", state="leased", attempt=1,
        max_attempts=1, due_at=moment, created_at=moment,
    )  # fmt: skip
    await Sweeper(database, vault).sweep(sweep)
    kept, rows_kept = await stored(vault), {each["_id"] async for each in storage.find({}, {"_id": 1})}
    files = database.store.client[vault.database_name]["blobs.chunks"]
    torn = set(await files.distinct("files_id")) - kept
    wrong = [f"file {each} has no row and was not swept" for each in sorted(kept - rows_kept)]
    wrong += [f"file {each} has a row and was swept" for each in sorted(rows_kept - kept)]
    wrong += [f"chunks of {each} belong to nothing and were not swept" for each in sorted(torn)]
    used = {each["body"] async for each in database.store.database["images"].find({}, {"body": 1})}
    return len(before - rows), [*wrong, *(f"file {each} was in use and was swept" for each in sorted(used - kept))]


async def stored(vault: BlobVault) -> set[str]:
    """The ids of all contents."""
    return set(await vault.older_than(32_503_680_000_000, after="", limit=ALL))


async def audited(database: Database) -> list[str]:
    """What the product's own audit finds."""
    found = await imbalances(database.store, await database.store.newest())
    return [f"the product's own audit: {each}" for each in found]
