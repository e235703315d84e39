"""The seam to whoever draws: a photo in, a picture out, or an outcome that the retry policy understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from jobs.outcome import Broken, Later, Refused, Transient
from server.pictures.errors import LabBusy, LabCrashed
from server.pictures.lab import PhotoLab
from server.pictures.photo import Photo


class PictureMaker(Protocol):
    """Draws photos."""

    async def transform(self, photo: bytes) -> Photo | Refused | Transient | Broken | Later:
        """The picture, measured and ready to be stored; or why there is none. Raises nothing but cancellation."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Numbers by name."""
        ...

    async def aclose(self) -> None:
        """Let go of everything held outside of this process."""
        ...


class LocalStylizer:
    """Draws on this machine, the same picture for the same photo: what development runs on."""

    def __init__(self, lab: PhotoLab) -> None:
        self._lab = lab

    def __repr__(self) -> str:
        return f"<LocalStylizer {self._lab!r}>"

    async def transform(self, photo: bytes) -> Photo | Refused | Transient | Broken:
        """The picture, or why there is none."""
        try:
            return await self._lab.stylize(photo)
        except LabBusy:
            return Transient("Too many pictures are being drawn right now.")
        except LabCrashed:
            return Transient("Drawing this photo did not work.")

    def metrics(self) -> Mapping[str, float]:
        """None."""
        return {}

    async def aclose(self) -> None:
        """Nothing is held; the lab is somebody else's."""
