"""The built page in memory: every file that the build made, with its compressed forms.

Invariant: a bundle is of one build; what is served is never half of one and half of another.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

DIST = Path(__file__).resolve().parents[2] / "web" / "dist"
INDEX = "index.html"
ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""By how much they save."""
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_WEIGHT = re.compile(r"q=(?P<weight>[01](?:\.\d{0,3})?)", re.ASCII | re.IGNORECASE)


class Built(msgspec.Struct, frozen=True):
    """One file: its type, the digest of its content, and its content by encoding; `identity` is always there."""

    media_type: str
    digest: str
    bodies: dict[str, bytes]

    @property
    def text(self) -> str:
        """The content of a text file."""
        return self.bodies["identity"].decode()

    def best(self, accept_encoding: str | None) -> str:
        """The encoding that serves who accepts this."""
        accepted = _weights(accept_encoding or "")
        found = [each for each in ENCODINGS if each in self.bodies and accepted.get(each, accepted.get("*", 0.0)) > 0]
        return found[0] if found else "identity"


class Bundle(msgspec.Struct, frozen=True):
    """All files of one build, by their path below the folder."""

    files: dict[str, Built]

    @property
    def index(self) -> Built:
        """The document that every view begins with."""
        return self.files[INDEX]


def read_bundle(folder: Path) -> Bundle | None:
    """What was built into this folder; None while nothing was."""
    if not (folder / INDEX).is_file():
        return None
    files: dict[str, Built] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or path.suffix in ENCODINGS.values():
            continue
        content = path.read_bytes()
        bodies = {"identity": content}
        for encoding, ending in ENCODINGS.items():
            squeezed = path.with_name(path.name + ending)
            if squeezed.is_file():
                bodies[encoding] = squeezed.read_bytes()
        media_type = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
        digest = hashlib.sha256(content).hexdigest()[:32]
        files[path.relative_to(folder).as_posix()] = Built(media_type, digest, bodies)
    return Bundle(files)


def _weights(accept_encoding: str) -> dict[str, float]:
    """How much each encoding is wanted (RFC 9110, section 12.5.3). What is malformed is not wanted."""
    wanted: dict[str, float] = {}
    for each in accept_encoding.split(","):
        name, _, parameter = (part.strip() for part in each.partition(";"))
        weight = _WEIGHT.fullmatch(parameter)
        wanted[name.lower()] = 1.0 if not parameter else float(weight["weight"]) if weight else 0.0
    return wanted
