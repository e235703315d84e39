"""The files that take long, and about how long on two cores: they are begun first, or one of them is what everybody waits for.

Most of them wait for something, a deadline or a process that starts. What computes comes after them and fills their pauses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = {
    "tests/browser": 15,  # each file of it
    "tests/scenarios/test_processes.py": 50,
    "tests/store/test_embedded.py": 40,
    "tests/scenarios/test_releases.py": 40,
    "tests/scenarios/test_elections.py": 40,
    "tests/scenarios/test_torture.py": 24,
    "tests/scenarios/test_live_lines.py": 24,
    "tests/scenarios/test_crash_points.py": 22,
    "tests/scenarios/test_transfer.py": 15,
    "tests/scenarios/test_attacks.py": 21,
    "tests/scenarios/test_faults.py": 20,
    "tests/scenarios/test_generations.py": 20,
    "tests/scenarios/test_limits.py": 19,
    "tests/scenarios/test_checkout.py": 17,
    "tests/wire/test_npm_client.py": 16,
    "tests/store/test_tail.py": 15,
    "tests/scenarios/test_faults_of_clients.py": 14,
    "tests/wire/test_npm_reconnects.py": 13,
    "tests/store/test_loop.py": 13,
    "tests/wire/test_codegen.py": 12,
    "tests/wire/test_readme.py": 12,
    "tests/scenarios/test_explain.py": 11,
    "tests/scenarios/test_seeing.py": 11,
    "tests/unit/server/pictures/test_lab.py": 10,
    "tests/store/test_queue.py": 10,
    "tests/scenarios/test_credits.py": 9,
    "tests/scenarios/test_leaving.py": 9,
    "tests/scenarios/test_draining.py": 9,
    "tests/store/test_migrations.py": 9,
    "tests/scenarios/test_reconcile.py": 9,
    "tests/property/test_sync_machine.py": 8,
    "tests/property/test_matcher.py": 8,
    "tests/scenarios/test_orders.py": 8,
    "tests/scenarios/test_shared_answers.py": 8,
    "tests/scenarios/test_tracing.py": 8,
    "tests/scenarios/test_logs.py": 7,
    "tests/scenarios/test_first_photo.py": 8,
    "tests/scenarios/test_moderation.py": 7,
    "tests/unit/server/providers/test_gemini.py": 7,
    "tests/unit/server/providers/test_stylizer.py": 7,
    "tests/wire/test_react.py": 7,
    "tests/property/test_hub_and_sockets.py": 7,
    "tests/scenarios/test_one_snapshot.py": 6,
    "tests/scenarios/test_time_goes_forward.py": 6,
    "tests/scenarios/test_slow_uploads.py": 6,
}


def seconds_of(file: Path) -> int:
    """About how long a file takes; nothing for most."""
    name = file.relative_to(ROOT)
    return SECONDS.get(name.as_posix(), SECONDS.get(name.parent.as_posix(), 0))
