"""Why an export or an import does not go on: sentences for whoever runs it."""

from __future__ import annotations


class TransferRefused(Exception):
    """It cannot be begun or go on as things are; the message says why and what to do."""


class Damaged(TransferRefused):
    """A file is not what the export wrote; it is named."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name} is damaged: {what}. Take another copy of this export.")
        self.name = name
