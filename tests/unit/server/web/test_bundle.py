"""The built page in memory: what is read, and which encoding serves whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.web.bundle import Built, read_bundle

BOTH = Built("text/plain", "d", {"identity": b"aaaa", "gzip": b"aa", "br": b"a"})
ONLY_GZIP = Built("text/plain", "d", {"identity": b"aaaa", "gzip": b"aa"})


@pytest.mark.parametrize(
    ("accepted", "best"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, BR;q=0.5", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.000, gzip;q=0", "identity"),
        ("*", "br"),
        ("br;q=0, *;q=0.1", "gzip"),
        ("identity, *;q=0", "identity"),
        ("br;q=nonsense, gzip;level=9", "identity"),
        ("brotli, zip", "identity"),
        ("gzip;q=0.5;x, br ; q=0.1", "br"),
    ],
)
def test_the_encoding_that_serves(accepted: str | None, best: str) -> None:
    assert BOTH.best(accepted) == best


def test_an_encoding_that_is_not_there_is_not_served() -> None:
    assert ONLY_GZIP.best("gzip, br") == ONLY_GZIP.best("*") == "gzip"
    assert ONLY_GZIP.best("br") == "identity"


def test_a_folder_is_read_with_its_compressed_forms(tmp_path: Path) -> None:
    assert read_bundle(tmp_path) is None
    (tmp_path / "assets").mkdir()
    for name, content in {
        "index.html": "<p>hi", "index.html.br": "b", ".built-from": "x", "assets/app-1.js": "let a", "assets/app-1.js.gz": "g",
        "assets/face.woff2": "f", "strange.thing": "?",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content)

    bundle = read_bundle(tmp_path)

    assert bundle is not None
    assert {path: (file.media_type, sorted(file.bodies)) for path, file in bundle.files.items()} == {
        "index.html": ("text/html; charset=utf-8", ["br", "identity"]),
        "assets/app-1.js": ("text/javascript; charset=utf-8", ["gzip", "identity"]),
        "assets/face.woff2": ("font/woff2", ["identity"]),
        "strange.thing": ("application/octet-stream", ["identity"]),
    }
    assert bundle.index.text == "<p>hi"
    assert len({file.digest for file in bundle.files.values()}) == len(bundle.files)
