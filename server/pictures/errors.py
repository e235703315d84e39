"""Why a picture was not taken or not made.

PictureError
  BadPhoto     the uploaded file is at fault
  LabBusy      too many pictures are waiting; try again
  LabCrashed   the picture maker died or took too long on this picture

Every sentence is written for the person who uploaded; none quotes a library.
"""

from __future__ import annotations

from typing import ClassVar, Literal


class PictureError(Exception):
    """Root of this folder's errors. `code` is stable and goes on the wire."""

    code: ClassVar[str]
    blame: ClassVar[Literal["caller", "us", "provider"]]
    retryable: ClassVar[bool]


class BadPhoto(PictureError):
    """The uploaded file is not a photo we can use."""

    code = "bad_photo"
    blame = "caller"
    retryable = False

    def __init__(self, reason_sentence: str) -> None:
        super().__init__(reason_sentence)
        self.reason_sentence = reason_sentence


class LabBusy(PictureError):
    """The lab has no room for another picture now."""

    code = "lab_busy"
    blame = "us"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Many pictures are being prepared right now. Please try again in a moment.")


class LabCrashed(PictureError):
    """The process working on this picture died, or was stopped at its deadline."""

    code = "lab_crashed"
    blame = "us"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Something went wrong while drawing this picture. Please try again.")
