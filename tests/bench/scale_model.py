"""What a million clients would take, as arithmetic: measured costs, multiplied. `docs/scale.md` explains it and holds its tables.

`python -m tests.bench.scale_model` prints the tables. Nothing here does I/O but that; `tests/unit/test_scale_model.py` holds the
predictions against what was measured, and the page against the model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

KIB, MB, GB, TB = 1_024, 1e6, 1e9, 1e12
HOUR_S = 3_600
OFF_BY = 2.0
"""A prediction may be off by this factor: the figures were taken on a shared machine, some of them weeks of changes apart."""

# --- measured (docs/benchmarks.md), on one core of 2.6 GHz ----------------------------------------------------------

MESSAGE_US = 7.5
"""One more socket for an answer that many share: 6.6 to 9.1."""
EVENT_US, BUSY_EVENT_US = 439.0, 59.0
"""A change that a process shows nobody: at 100 a second, where each comes alone, and at 1,000, where they come in batches."""
EXECUTION_US = 720.0
"""One query run: 5,004 of them made a reconnect of 5,000 take 3.6 s longer."""
MUTATION_US = 4_500.0
"""What a mutation costs the process that runs it, beyond the push."""
SERIAL_MUTATION_MS = 6.3
"""One member's mutations one after the other: 0.82 of the bare driver's 185 a second."""
PUSH_FLOOR_MS = 2.3
"""The bare event and one read by id."""
SOCKET_BYTES = 36 * KIB
ROUND_TRIP_US = 420.0
"""One read by id, from our process."""
STREAM_US, QUIET_STREAM_US = 41.0, 82.0
"""What one more stream costs mongod for each change: at 1,000 a second, and at 100."""
CHANGES, COMMITS = 14, 5
"""Of one generation, from the upload to the picture in the gallery, in the documents' database."""
OPLOG_BYTES = 6_500
"""Of these. Before-images are kept beside it, in about as much room."""
MONGOD_COMMIT_US, MONGOD_CHANGE_US = 1_230.0, 27.0
"""What mongod spends on a commit, and on each change in it, without streams: what solves both measured rates, one change in a
statement and twenty."""

# --- supposed ---------------------------------------------------------------------------------------------------------

ANSWER_BYTES = 4_600
"""The shared answer of the benchmark: a page of the gallery."""
PHOTO_BYTES, PICTURE_BYTES = 1.5 * MB, 1.0 * MB
MODEL_S = 10.0
"""How long the model draws."""
OWN_PUSHES = 4
"""Transitions of an owner's page in one generation: accepted, begun, done, and the balance."""
OWN_QUERIES = 3
"""Answers that such a transition computes."""
MEMBERS = 3
"""Of a replica set."""

# --- limits -------------------------------------------------------------------------------------------------------------

SOCKETS_A_PROCESS = 20_000
CORE_US = 1e6
NIC_BYTES_S = 1.25 * GB
"""10 Gbit/s."""
MONGOD_CORES = 32
DISK_BYTES_S = 1.0 * GB
"""What one member's disk takes, and its oplog with it."""
VOLUME_BYTES = 16 * TB
"""The largest volume that clouds sell as one."""
BUSIEST_WORKER = 64
"""`GENERATION_CONCURRENCY` at most."""


class Load(msgspec.Struct, frozen=True):
    """What is asked of the product."""

    clients: int = 1_000_000
    images: int = 100_000_000
    generations_s: float = 1_000.0
    featured_s: float = 1.0
    """Changes of the public gallery a second, after they are gathered: every client watches it."""

    @property
    def processes(self) -> int:
        """Web processes, by their limit of sockets."""
        return -(-self.clients // SOCKETS_A_PROCESS)


class Demand(msgspec.Struct, frozen=True):
    """One thing that is needed, what there is of it, and from which part of the load on it is not enough."""

    what: str
    needed: str
    there_is: str
    use: float
    """Needed over there is."""
    instead: str

    @property
    def breaks_at(self) -> str:
        """The part of the load at which it is used up; empty where it never is."""
        return "" if self.use <= 1 else f"{100 / self.use:.2g} %"


# --- what can be held against a measurement -----------------------------------------------------------------------------


class Checked(msgspec.Struct, frozen=True):
    """A prediction beside what was seen."""

    what: str
    predicted: float
    seen: tuple[float, float]
    unit: str

    @property
    def is_near(self) -> bool:
        """Is it within the factor that is allowed?"""
        return self.seen[0] / OFF_BY <= self.predicted <= self.seen[1] * OFF_BY


def own_push_us() -> float:
    """Processor of a web process for a write that one socket sees: the event, the query, the message."""
    return EVENT_US + EXECUTION_US + MESSAGE_US


def checked() -> list[Checked]:
    """Every prediction that something measured answers to, and that is not the measurement itself."""
    own_ms = own_push_us() / 1_000
    crowd = "10,000 sockets share an answer: until the last has a change"
    fewer = "1,000 do, beside Parse Server: what the server computes"
    owner = "one of 10,000 owners, 100 writes a second: until they have it"
    export = "export of 10,000 pictures: row, entry and content of each"
    return [
        Checked(crowd, PUSH_FLOOR_MS + EXECUTION_US / 1_000 + 10_000 * MESSAGE_US / 1_000, (69, 101), "ms"),
        Checked(fewer, own_ms + 1_000 * MESSAGE_US / 1_000, (17, 20), "ms"),
        Checked(owner, PUSH_FLOOR_MS + own_ms, (3.9, 3.9), "ms"),
        Checked("in 2,000 of them: processor of the server for each write", own_ms, (1.49, 1.63), "ms"),
        Checked("eight in line for one member", 8 * SERIAL_MUTATION_MS, (44, 66), "ms"),
        Checked(export, 10_000 * 3 * ROUND_TRIP_US / CORE_US, (14, 14), "s"),
    ]


# --- extrapolated -------------------------------------------------------------------------------------------------------


def demands(load: Load) -> list[Demand]:
    """Everything that the load needs, what breaks first before the rest."""
    g, processes = load.generations_s, load.processes
    content_s = g * (PHOTO_BYTES + PICTURE_BYTES)
    stored = load.images / 2 * (PHOTO_BYTES + PICTURE_BYTES)
    changes_s, oplog_s = g * CHANGES, g * OPLOG_BYTES
    feed = changes_s * BUSY_EVENT_US / CORE_US
    writes = g * mongod_generation_us() / CORE_US
    streams = changes_s * STREAM_US * processes / CORE_US
    own = g * OWN_PUSHES * (OWN_QUERIES * EXECUTION_US + MESSAGE_US) / processes / CORE_US
    mutations = g * 2 * MUTATION_US / processes / CORE_US
    shared = load.featured_s * load.clients * MESSAGE_US / processes / CORE_US
    each_mb = SOCKETS_A_PROCESS * SOCKET_BYTES / MB
    egress = load.featured_s * load.clients * ANSWER_BYTES
    found = [
        Demand("contents in MongoDB", f"{stored / TB:.0f} TB, in three copies {MEMBERS * stored / TB:.0f} TB",
               f"{VOLUME_BYTES / TB:.0f} TB a volume", stored / VOLUME_BYTES, "object storage; the rows stay"),
        Demand("contents through the oplog", f"{content_s / GB:.1f} GB/s, {content_s * HOUR_S / TB:.0f} TB an hour",
               f"{DISK_BYTES_S / GB:.0f} GB/s", content_s / DISK_BYTES_S, "object storage"),
        Demand("mongod: our writes", f"{changes_s:,.0f} changes/s, {writes:.0f} cores",
               f"{MONGOD_CORES} cores", writes / MONGOD_CORES, "fewer commits for a generation, then shards"),
        Demand("mongod: a stream for each process", f"{processes} streams, {streams:.0f} cores",
               f"{MONGOD_CORES} cores", streams / MONGOD_CORES, "a fan-out tier: a few streams for all"),
        Demand(
            "mongod: writes and streams together",
            f"{writes + streams:.0f} cores",
            f"{MONGOD_CORES} cores",
            (writes + streams) / MONGOD_CORES,
            "a fan-out tier",
        ),
        Demand("a web process: every change", f"{feed:.2f} cores", "1 core", feed,
               "a fan-out tier that sends each process what concerns it"),
        Demand("a web process: mutations", f"{mutations:.2f} cores", "1 core", mutations, "more processes"),
        Demand("a web process: its owners' pushes", f"{own:.2f} cores", "1 core", own, "more processes"),
        Demand("a web process: the public gallery", f"{shared:.2f} cores", "1 core", shared, "gather its changes"),
        Demand("a web process: changes, mutations and pushes together", f"{feed + mutations + own + shared:.2f} cores", "1 core",
               feed + mutations + own + shared, "fewer sockets a process"),
        Demand("egress of the public gallery", f"{egress / GB:.1f} GB/s", f"{NIC_BYTES_S / GB:.2f} GB/s a machine",
               egress / NIC_BYTES_S, "several machines; a page's changes instead of the page"),
        Demand("memory of sockets", f"{load.clients * SOCKET_BYTES / GB:.0f} GB, {each_mb:.0f} MB a process",
               "1 GB a process", SOCKETS_A_PROCESS * SOCKET_BYTES / GB, ""),
        Demand("oplog of the documents", f"{oplog_s * HOUR_S / GB:.0f} GB an hour", "1 TB for a day",
               oplog_s * HOUR_S * 24 / TB, ""),
        Demand("asking the model", f"{g * MODEL_S:,.0f} at once, {g * MODEL_S / BUSIEST_WORKER:.0f} workers",
               "what its provider allows", 0.0, "a quota; it was never asked for"),
    ]  # fmt: skip
    return sorted(found, key=lambda each: -each.use)


def mongod_generation_us() -> float:
    """Processor of mongod for the writes of one generation."""
    return COMMITS * MONGOD_COMMIT_US + CHANGES * MONGOD_CHANGE_US


def fan_out_tier_from() -> int:
    """So many processes on, their streams cost mongod more than the writes themselves."""
    return round(mongod_generation_us() / (CHANGES * STREAM_US))


def rows(load: Load) -> list[str]:
    """The table of what breaks first, as the page has it."""
    return [
        f"| {each.what} | {each.needed} | {each.there_is} | {each.breaks_at} | {each.instead} |"
        for each in demands(load)
    ]


def checked_rows() -> list[str]:
    """The table of predictions, as the page has it."""
    return [f"| {each.what} | {each.predicted:.3g} {each.unit} | {_seen(each)} |" for each in checked()]


def _seen(each: Checked) -> str:
    low, high = each.seen
    return f"{low:g} {each.unit}" if low == high else f"{low:g} to {high:g} {each.unit}"


def main(lines: Sequence[str]) -> None:
    """Print the tables."""
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main([*checked_rows(), "", *rows(Load()), "", f"fan-out tier from {fan_out_tier_from()} processes"])
