"""The kinds of work that outlive a request, and how each is tried."""

from __future__ import annotations

from jobs.queue import JobSpec
from jobs.schedule import Recurring
from schema.values import days, hours, minutes, seconds

GENERATE_IMAGE = JobSpec("generate_image", max_attempts=2, first_backoff=seconds(2))
ERASE_FILE = JobSpec("erase_file", max_attempts=10, first_backoff=seconds(5))
ERASE_MEMBER = JobSpec(
    "erase_member", max_attempts=10, first_backoff=seconds(5), lease=seconds(30), deadline=minutes(10)
)
CREATE_CHECKOUT = JobSpec(
    "create_checkout", max_attempts=4, first_backoff=seconds(2), lease=seconds(20), deadline=seconds(15)
)
RECONCILE_ORDERS = JobSpec(
    "reconcile_orders", max_attempts=3, first_backoff=seconds(30), lease=minutes(1), deadline=minutes(5)
)
SWEEP_FILES = JobSpec("sweep_files", max_attempts=3, first_backoff=seconds(30), lease=minutes(1), deadline=minutes(30))
AUDIT_LEDGER = JobSpec(
    "audit_ledger", max_attempts=3, first_backoff=seconds(30), lease=minutes(1), deadline=minutes(10)
)
PRUNE_JOBS = JobSpec("prune_jobs", max_attempts=3, first_backoff=seconds(30), lease=minutes(1), deadline=minutes(10))

RECURRING = (
    Recurring(SWEEP_FILES, every=hours(1)),
    Recurring(AUDIT_LEDGER, every=minutes(10)),
    Recurring(RECONCILE_ORDERS, every=minutes(10)),
    Recurring(PRUNE_JOBS, every=days(1)),
)
