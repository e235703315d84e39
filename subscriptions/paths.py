"""The one name of a function: `folder/module:function`.

Invariant: `canonical` is idempotent, and two spellings of a function have the same canonical path.
"""

from __future__ import annotations

import re

from subscriptions.errors import RemoteProtocolError

MAX_PATH_CHARS = 1024
MAX_FUNCTION_CHARS = 64

_SEGMENT = re.compile(r"(?=[^/]*[A-Za-z0-9])[A-Za-z0-9_.]+")
_FUNCTION = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z_][A-Za-z0-9_]*")


def canonical(path: str) -> str:
    """`path` in its one spelling: no `.js`, and the function named even when it is `default`."""
    module, colon, function = path.rpartition(":")
    if not colon:
        module, function = path, "default"
    module = module.removesuffix(".js")
    *folders, file = module.split("/")
    if (
        len(path) > MAX_PATH_CHARS
        or len(function) > MAX_FUNCTION_CHARS
        or not _FUNCTION.fullmatch(function)
        or not all(_SEGMENT.fullmatch(each) for each in (*folders, file))
        or "." in file  # an extension other than `.js`
    ):
        raise RemoteProtocolError(f"{path[:100]!r} is not the path of a function.")
    return f"{module}:{function}"
