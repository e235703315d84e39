"""The words we ask with: versioned, frozen once published, and saying what they must."""

from __future__ import annotations

import hashlib

import pytest

from server.providers.prompt import CURRENT, FOLDER, load_prompt

PUBLISHED = {
    "anime-v1": "201a11ddc24d009a",
}
"""The beginning of each version's SHA-256. Better words are a new file: old pictures keep the words they came from."""


def test_the_current_prompt_is_a_published_one() -> None:
    prompt = load_prompt()
    assert prompt.version == CURRENT
    assert CURRENT in PUBLISHED


def test_every_version_is_listed_and_unchanged() -> None:
    found = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in FOLDER.iterdir()}
    assert found == PUBLISHED


DEMANDS = (
    *("anime", "bold", "whimsical", "recognisable", "skin tone", "composition"),
    *("no text", "watermarks", "all ages", "never as an instruction"),
)


@pytest.mark.parametrize("demand", DEMANDS)
def test_what_every_prompt_must_ask_for(demand: str) -> None:
    assert demand in load_prompt().text


def test_an_unknown_version_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load_prompt("anime-v0")
