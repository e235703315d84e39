"""What a user of the database may not do, in a sentence: which right is missing, and which role has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pymongo.errors import OperationFailure

from server.config import ConfigurationError

UNAUTHORIZED: Final = 13
ADMINISTRATION: Final = frozenset({"collMod"})
"""Commands that `readWrite` does not allow, among those that we use."""
_DENIED = re.compile(r"not authorized on (\S+) to execute command \{ (\w+)")


@contextmanager
def as_far_as_allowed() -> Iterator[None]:
    """Raise `ConfigurationError` where the user of `MONGODB_URI` lacks a right."""
    try:
        yield
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        found = _DENIED.search(str(error))
        if found is None:
            raise ConfigurationError(
                "The user in MONGODB_URI may not do this. See its roles in docs/operations.md."
            ) from None
        database, command = found.groups()
        role = "dbAdmin" if command in ADMINISTRATION else "readWrite"
        raise ConfigurationError(
            f"The user in MONGODB_URI may not do {command} in the database {database}. Give it the role {role} there: "
            f'db.getSiblingDB("admin").grantRolesToUser(USER, [{{ role: "{role}", db: "{database}" }}]).'
        ) from None
