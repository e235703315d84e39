"""All checks, side by side, each under its deadline.

Invariant: whatever a check runs into, it ends in one verdict; what was raised is named by its type
alone, since texts may hold secrets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

from server.config import Settings
from server.doctor.configuration import check_configuration
from server.doctor.gemini import check_gemini
from server.doctor.issuer import check_issuer
from server.doctor.mongodb import check_mongodb
from server.doctor.pictures import check_pictures
from server.doctor.polar import check_polar
from server.doctor.redis import check_redis
from server.doctor.serving import check_server
from server.doctor.verdict import Verdict

DEADLINE_S = 20.0


async def examine(settings: Settings, deadline_s: float = DEADLINE_S) -> Mapping[str, Verdict]:
    """What every check found, in the order in which to read it."""
    checks: dict[str, Awaitable[Verdict]] = {
        "MongoDB": check_mongodb(settings),
        "Redis": check_redis(settings),
        "Clerk": check_issuer(settings),
        "Polar": check_polar(settings),
        "Gemini": check_gemini(settings),
        "pictures": asyncio.to_thread(check_pictures),
        "server": check_server(settings),
    }
    found = await asyncio.gather(*(_in_time(each, deadline_s) for each in checks.values()))
    return {"configuration": check_configuration(settings), **dict(zip(checks, found, strict=True))}


async def _in_time(check: Awaitable[Verdict], deadline_s: float) -> Verdict:
    try:
        async with asyncio.timeout(deadline_s):
            return await check
    except TimeoutError:
        return Verdict("failed", f"no answer within {deadline_s:.0f} s.", "Is there a firewall or a proxy between?")
    except Exception as error:  # a doctor who falls over helps nobody; the other lines are still wanted
        return Verdict("failed", f"the check itself did not work ({type(error).__name__}).", "Please report this.")
