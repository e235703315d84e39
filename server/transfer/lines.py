"""Documents as lines of canonical Extended JSON, gzipped: what any tool reads and nothing rounds.

Everything here blocks and is called in a thread.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from bson import json_util

from server.transfer.errors import Damaged
from server.transfer.files import Draft
from server.transfer.manifest import Part

RawDocument = dict[str, Any]

LEVEL: Final = 3
PART_BYTES: Final = 32 << 20
"""Of lines, before they are packed."""
BATCH: Final = 500
CANONICAL: Final = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False)


class PartWriter:
    """One file of a table's documents while it is written."""

    def __init__(self, folder: Path, name: str, table: str) -> None:
        self._draft = Draft(folder / name)
        self._zip = zlib.compressobj(LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self._name, self._table = name, table
        self.documents = self.line_bytes = 0
        self._last = ""

    def __repr__(self) -> str:
        return f"<PartWriter {self._name}, {self.documents} documents>"

    def write(self, rows: Sequence[RawDocument]) -> None:
        """Add documents, in the order of their ids."""
        lines = "".join(json_util.dumps(row, json_options=CANONICAL, separators=(",", ":")) + "\n" for row in rows)
        content = lines.encode()
        self._draft.write(self._zip.compress(content))
        self.documents += len(rows)
        self.line_bytes += len(content)
        self._last = rows[-1]["_id"]

    def keep(self) -> Part:
        """Finish the file."""
        self._draft.write(self._zip.flush())
        part = Part(self._name, self._table, self.documents, self._draft.size, self._draft.sha256, self._last)
        self._draft.keep()
        return part

    def drop(self) -> None:
        """Leave nothing of it."""
        self._draft.drop()


def read_batches(folder: Path, part: Part) -> Iterator[list[RawDocument]]:
    """The documents of a file, some at a time. Raises `Damaged`."""
    found = 0
    try:
        with gzip.open(folder / part.name, "rb") as file:
            batch: list[RawDocument] = []
            for line in cast("Iterator[bytes]", file):
                batch.append(json_util.loads(line, json_options=CANONICAL))
                if len(batch) == BATCH:
                    found += len(batch)
                    yield batch
                    batch = []
    except FileNotFoundError:
        raise Damaged(part.name, "it is not there") from None
    except (OSError, EOFError, zlib.error, json.JSONDecodeError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise Damaged(part.name, f"it cannot be read ({type(error).__name__})") from None
    if batch:
        found += len(batch)
        yield batch
    if found != part.documents:
        raise Damaged(part.name, f"it holds {found} documents where {part.documents} were written")
