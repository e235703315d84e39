"""The soak: a whole deployment for half an hour, thousands of clients and everything at once, and its processes are killed.

`python -m tests.scenarios.soak --minutes 30 --clients 5000`, or `make soak`. Status 1 when a promise was broken. The seed
draws who does what, and who is killed; what comes of it also depends on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from tests.scenarios.soak.report import Report
from tests.scenarios.soak.story import Soak, soak


def main() -> int:
    """Soak from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--kill-every", type=float, default=60, metavar="SECONDS")
    parser.add_argument("--actions", type=float, default=2, help="what members do per second, all together")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--out", type=Path, help="a file for the report, as Markdown")
    parser.add_argument("--logs", type=Path, help="a folder for what the processes logged")
    told = parser.parse_args()
    wanted = Soak(told.seed, told.minutes * 60, told.clients, told.kill_every, told.actions)
    print(f"soak with {wanted}", file=sys.stderr, flush=True)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # the stand-in is rude on purpose
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", file=sys.stderr, flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="anime-soak-", ignore_cleanup_errors=True) as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        report: Report = runner.run(soak(wanted, Path(folder), say))
    text = str(report)
    print(text, flush=True)
    if told.out is not None:
        told.out.write_text(text + "\n")
    if told.logs is not None:
        told.logs.mkdir(parents=True, exist_ok=True)
        for name, lines in report.logs.items():
            (told.logs / f"{name}.log").write_text("\n".join(lines))
        (told.logs / "memory.json").write_bytes(msgspec.json.encode(report.lives))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
