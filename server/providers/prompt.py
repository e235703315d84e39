"""What we ask of the model, as text files under version control: a picture can always be traced to the words it came from.

Invariant: a published version never changes; better words are a new file.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

CURRENT = "anime-v1"
FOLDER = Path(__file__).with_name("prompts")


class Prompt(msgspec.Struct, frozen=True):
    """The words and the name of their version."""

    version: str
    text: str


def load_prompt(version: str = CURRENT) -> Prompt:
    """The prompt of this version. Raises FileNotFoundError."""
    return Prompt(version, (FOLDER / f"{version}.txt").read_text("utf-8").strip())
