"""The page's build: `web/dist` from the sources in `web/`, by the Node.js of the wheel, once for each state of the sources.

Invariant: `web/dist` is whole or not there; a mark in it says which sources it was built from. Two builds never meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from server.dev.node import Node, NodeFailed, find_node
from server.web.bundle import DIST

WEB = DIST.parent
MARK = ".built-from"
INSTALLED = Path("node_modules") / ".installed-from"
COMPRESS = Path(__file__).with_name("compress.mjs")
INSTALL_DEADLINE_S = 300.0
BUILD_DEADLINE_S = 180.0
TURN_DEADLINE_S = INSTALL_DEADLINE_S + BUILD_DEADLINE_S
POLL_S = 0.1
MAX_LOG_READ_BYTES = 64 << 10

NETWORK = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_SOCKET_TIMEOUT|"
    r"SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE|E40[137]|E5\d\d)\b"
)

Say = Callable[[str], None]


class PageNotBuilt(Exception):
    """The page could not be built; the text says what is missing and where to read more."""


def sources_digest(web: Path = WEB) -> str:
    """What the page is built from, in one word: every file of the folder that is not itself made by a build."""
    seen = hashlib.sha256()
    for path in sorted(_sources(web)):
        content = hashlib.sha256(path.read_bytes()).digest()
        seen.update(str(path.relative_to(web)).encode() + b"\0" + content)
    return seen.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and path.name != "node_modules" and not path.name.startswith((".", "dist")):
            yield from _sources(path)
        elif path.is_file():
            yield path


def is_current(web: Path = WEB) -> bool:
    """Is what is built what would be built?"""
    mark = web / "dist" / MARK
    return mark.is_file() and mark.read_text() == sources_digest(web)


async def build_page(log: Path, say: Say, web: Path = WEB) -> None:
    """Build the page where it is missing or older than its sources. Raises `PageNotBuilt`."""
    try:
        if is_current(web):
            return
        _begin(log)
        async with _alone(web) as lock:
            if is_current(web):  # somebody else built it while we waited
                return
            node = await find_node()
            if not _is_installed(web):
                say("Fetching the page's packages (npm ci) ...")
                await _install(node, web, log, lock)
            say("Building the page (vite build) ...")
            await _build(node, web, log, lock)
    except NodeFailed as error:
        raise PageNotBuilt(f"The page could not be built: {error}") from None
    except OSError as error:
        raise PageNotBuilt(f"The page could not be built: {error.filename}: {error.strerror}.") from None


def _begin(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")


@contextlib.asynccontextmanager
async def _alone(web: Path) -> AsyncIterator[int]:
    """One build at a time. The lock is the folder's own, and a build that outlives us still holds it."""
    with (web / "package.json").open("rb") as file:
        try:
            async with asyncio.timeout(TURN_DEADLINE_S):
                while not _locked(file.fileno()):  # noqa: ASYNC110  # of another process nothing is heard
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise NodeFailed(f"another build has been at it for {TURN_DEADLINE_S:.0f} s.") from None
        yield file.fileno()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_digest(web: Path) -> str:
    return hashlib.sha256((web / "package-lock.json").read_bytes()).hexdigest()


def _is_installed(web: Path) -> bool:
    mark = web / INSTALLED
    return mark.is_file() and mark.read_text() == _lock_digest(web)


async def _install(node: Node, web: Path, log: Path, lock: int) -> None:
    command = (node.npm, "ci", "--include=dev")
    status = await node.run(*command, folder=web, log=log, deadline_s=INSTALL_DEADLINE_S, holding=(lock,))
    if status != 0:
        raise NodeFailed(reason_of(_end_of(log), log))
    (web / INSTALLED).write_text(_lock_digest(web))


async def _build(node: Node, web: Path, log: Path, lock: int) -> None:
    digest, draft, former = sources_digest(web), web / "dist.new", web / "dist.old"
    vite = web / "node_modules" / "vite" / "bin" / "vite.js"
    for script in ((vite, "build", "--outDir", draft.name, "--emptyOutDir"), (COMPRESS, draft)):
        status = await node.run(*script, folder=web, log=log, deadline_s=BUILD_DEADLINE_S, holding=(lock,))
        if status != 0:
            raise NodeFailed(f"{Path(script[0]).name} found something wrong in it. It is written in {log}.")
    (draft / MARK).write_text(digest)
    shutil.rmtree(former, ignore_errors=True)
    if (web / "dist").exists():
        (web / "dist").rename(former)
    draft.rename(web / "dist")
    shutil.rmtree(former, ignore_errors=True)


def reason_of(said: str, log: Path) -> str:
    """Why npm could not fetch the packages, for people."""
    code = NETWORK.search(said)
    if code is None:
        return f"npm could not install its packages. Why is written in {log}."
    return (
        f"its packages come from npm's registry, which cannot be reached ({code[0]}). "
        "Everything else works; start again when the network is back."
    )


def _end_of(log: Path) -> str:
    return log.read_bytes()[-MAX_LOG_READ_BYTES:].decode(errors="replace")
