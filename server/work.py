"""The kinds of work that outlive a request, and how each is tried."""

from __future__ import annotations

from jobs.queue import JobSpec
from schema.values import seconds

GENERATE_IMAGE = JobSpec("generate_image", max_attempts=2, first_backoff=seconds(2))
ERASE_FILE = JobSpec("erase_file", max_attempts=10, first_backoff=seconds(5))
