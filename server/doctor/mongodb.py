"""The database: one that we can use, by our clock, as the schema has it, with balances that add up. Only read."""

from __future__ import annotations

from datetime import UTC

from pymongo.errors import PyMongoError

from schema.errors import SnapshotGone, StoreUnavailable
from schema.migrations import STEPS, lacking
from schema.values import seconds
from server.config import ConfigurationError, Settings
from server.doctor.verdict import Verdict
from server.runtime import DATABASE, blobs_of, clock
from server.store.audit import imbalances
from server.store.connection import connect
from server.store.embedded import running_uri
from server.store.migrating import Migrations
from server.store.mongo import MongoStore
from server.store.setup import missing_from

MAX_CLOCK_GAP_MS = seconds(2)
MAX_NAMED = 3


async def check_mongodb(settings: Settings) -> Verdict:
    """Reachable, of a kind and version that we can use, migrated, and audited."""
    uri = settings.mongodb_uri or running_uri(settings.data_dir)
    if uri is None:
        return Verdict("skipped", f"no MONGODB_URI, and no running `make run` has {settings.data_dir} open.")
    try:
        async with connect(uri) as client:
            hello = await client.admin.command("hello")
            gap_ms = abs(hello["localTime"].replace(tzinfo=UTC).timestamp() * 1_000 - clock())
            version = (await client.server_info())["version"]
            database = client.get_default_database(DATABASE)
            store = MongoStore(client, database.name)
            taken = await Migrations(client, blobs_of(store)).taken()
            left = [step for step in STEPS if step.number not in taken]
            missing = [*await missing_from(database), *(str(step) for step in lacking(STEPS, taken))]
            if missing:
                named = ", ".join(missing[:MAX_NAMED])
                return Verdict(
                    "failed",
                    f"MongoDB {version} lacks {len(missing)} of our collections, indexes and migrations ({named}).",
                    "Run python -m server migrate.",
                )
            wrong = await imbalances(store, await store.newest())
    except ConfigurationError as error:
        return Verdict("failed", str(error))
    except (PyMongoError, SnapshotGone, StoreUnavailable) as error:
        return Verdict(
            "failed", f"a read was not answered ({type(error).__name__}).", "May its user read both databases?"
        )
    if wrong:
        return Verdict(
            "failed",
            f"MongoDB {version}: the balances of {len(wrong)} members are not the sum of their ledger.",
            "The worker's log names them under ledger.imbalance; docs/operations.md says what to do.",
        )
    if left:
        advice = "Run python -m server migrate --post when no older process runs."
        return Verdict("warning", f"MongoDB {version}: {left[0]} is left.", advice)
    if gap_ms > MAX_CLOCK_GAP_MS:
        return Verdict(
            "warning", f"MongoDB {version}: its clock is {gap_ms / 1_000:.0f} s from ours.", "Set both by NTP."
        )
    return Verdict("ok", f"MongoDB {version}: nothing is missing, every balance is the sum of its ledger.")
