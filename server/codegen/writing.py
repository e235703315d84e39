"""`python -m server codegen`: what is generated, written where it is wanted."""

from __future__ import annotations

from pathlib import Path

from server.codegen.manifest import manifest_of
from server.codegen.python_client import python_client
from server.codegen.reference import reference_page
from server.codegen.typescript import typescript_files
from server.functions import published


def generate(types: Path | None, python: Path | None, reference: Path | None) -> list[Path]:
    """Write the front end's files into the folder `types`, the Python client and the reference to their paths; what was written.

    Raises `OSError` where a path cannot be written.
    """
    manifest = manifest_of(published())
    texts: dict[Path, str] = {}
    if types is not None:
        types.mkdir(parents=True, exist_ok=True)
        texts |= {types / name: text for name, text in typescript_files(manifest).items()}
    if python is not None:
        texts[python] = python_client(manifest)
    if reference is not None:
        texts[reference] = reference_page(manifest)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(texts)
