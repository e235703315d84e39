"""What one generation writes, counted: the arithmetic of `docs/scale.md` multiplies it by a thousand a second."""

from __future__ import annotations

from typing import Any

from tests.bench import scale_model
from tests.scenarios.conftest import Meet
from tests.scenarios.stock import paged
from tests.support.world import World

WRITTEN = frozenset({"users", "ledger", "images", "jobs", "receipts", "_storage"})
"""The rest is chores and pulses, which do not grow with generations."""
SPREAD = 2
"""A lease that is renewed once or twice, a job that was looked at meanwhile."""


async def test_a_generation_writes_as_much_as_the_model_says(meet: Meet, town: World) -> None:
    seen: list[dict[str, Any]] = []
    async with meet("ana") as ana:
        await ana.mutation("users:ensureUser")
        gallery = await ana.watch("images:getGalleryImagesPaginated", **paged())
        async with await town.runtime.store.database.watch() as changes:
            await ana.photo()
            await gallery.until(lambda value: any(each.get("isGenerated") for each in value["page"]))
            while (event := await changes.try_next()) is not None:
                seen.append(event)
    jobs = await town.runtime.store.database["jobs"].distinct("_id", {"kind": "generate_image"})
    counted = [
        event
        for event in seen
        if event["ns"]["coll"] in WRITTEN and (event["ns"]["coll"] != "jobs" or event["documentKey"]["_id"] in jobs)
    ]
    commits = {event["clusterTime"] for event in counted}
    assert abs(len(counted) - scale_model.CHANGES) <= SPREAD, [event["ns"]["coll"] for event in counted]
    assert abs(len(commits) - scale_model.COMMITS) <= SPREAD
