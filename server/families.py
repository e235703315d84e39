"""Every number that a process tells of itself: its name, what kind of number it is, and what it says in a sentence.

`docs/operations.md` has the same names with what to look for; a test holds the two and `/metrics` against each other.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


class Family(msgspec.Struct, frozen=True):
    """Numbers of one name, told apart by labels."""

    name: str
    kind: Kind
    says: str


def _named(kind: Kind, **sentences: str) -> dict[str, Family]:
    return {f"anime_{name}": Family(f"anime_{name}", kind, says) for name, says in sentences.items()}


FAMILIES: Final[dict[str, Family]] = {
    **_named(
        "gauge",
        sockets="Open sockets.",
        live_queries="Queries that sockets watch, each watcher counted.",
        answers="Different answers held.",
        cohorts="Groups of sockets that are led from answer to answer as one.",
        cohort_members="Sockets in such groups.",
        feed_age_seconds="Since the log's position moved.",
        feed_lag_seconds="How long the newest commit took from the database to this process, by both their clocks.",
        jobs_queued="Jobs that wait.",
        jobs_leased="Jobs that run.",
        jobs_dead="Jobs given up.",
        jobs_oldest_wait_seconds="How long the job has waited that has been due the longest.",
        webhook_age_seconds="Since a provider last told us something that we accepted.",
        ledger_imbalanced_members="Members whose balance was not their ledger's sum in the last audit.",
        ledger_audit_failed="1 while the last audit found a difference that nobody has acknowledged.",
        ledger_audit_age_seconds="Since the last audit of the ledger.",
        fleet_alone="1 while this process works for itself: no Redis, or one that does not answer.",
        fleet_processes="Processes that serve sockets, as far as this one hears of them.",
        fleet_sockets="Their sockets together.",
        gemini_paused="1 while the model is not being asked.",
        memory_bytes="A rough estimate of what memory is held for, by owner.",
        resident_bytes="Memory of this process, as the system counts it.",
    ),
    **_named(
        "counter",
        sockets_closed_total="Sockets that have ended, for any reason.",
        sockets_stuck_total="Sockets that were cut for not reading.",
        sockets_silent_total="Sockets that were cut for not answering a ping.",
        query_executions_total="Queries run for those who watch.",
        invalidations_total="Answers made stale.",
        answers_adopted_total="Answers taken over from another process.",
        answers_offered_total="Answers offered to the other processes.",
        answers_awaited_in_vain_total="Queries run here after waiting for another process.",
        queries_failed_total="Queries that broke.",
        queries_timed_out_total="Queries that ran out of time.",
        function_runs_total="Runs of a function.",
        function_seconds_total="Time that a function's runs took together.",
        feed_events_total="Changes read.",
        feed_coarse_commits_total="Commits of which only the tables were known.",
        feed_reopened_total="Interruptions of the change stream.",
        feed_gaps_total="Histories lost.",
        limits_hit_total="Refusals because of a limit, by what there was too much of.",
        jobs_attempts_total="Attempts claimed by this process, by kind of work.",
        jobs_attempts_ended_total="How they ended.",
        jobs_attempts_seconds_total="Time that they took together.",
        webhooks_received_total="Webhooks that were signed right.",
        webhooks_refused_total="Webhooks signed wrong, or too old.",
        webhooks_failed_total="Webhooks that were signed right and could not be applied then.",
        ledger_audits_total="Audits of the ledger made by this process.",
        gemini_total="Pictures asked of the model, by prompt and outcome.",
    ),
    **_named(
        "histogram",
        push_latency_seconds="From a commit in the database to the frame that a socket is handed because of it.",
        query_seconds="Runs of queries.",
        mutation_seconds="Runs of mutations, from their call to their commit, waiting for the same member's others included.",
        action_seconds="Runs of actions.",
    ),
}
