"""The page, built: once for the whole run, however many test processes want it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from server.dev.page_build import WEB, build_page
from server.web.bundle import DIST

__all__ = ["DIST", "WEB", "ready_page"]


async def ready_page() -> Path:
    """The folder of the built page. Raises `PageNotBuilt`."""
    with tempfile.TemporaryDirectory(prefix="anime-page-") as folder:
        await build_page(Path(folder) / "page-build.log", lambda _: None)
    return DIST
