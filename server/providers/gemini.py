"""Draws with Google's Gemini: photo to the model, what comes back to the lab, everything else to an outcome.

Invariant: `transform` raises nothing but cancellation. While the breaker is open no call is made and no attempt is spent;
vendor text goes to the log, without our key in it, and never into a sentence for a member.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final

from google.genai import errors
from httpx2 import HTTPError

from jobs.outcome import Broken, Later, Refused, Transient
from jobs.seams import Clock
from server.pictures.errors import BadPhoto, LabBusy, LabCrashed
from server.pictures.lab import PhotoLab
from server.pictures.photo import Photo
from server.providers.breaker import Breaker, Pass, Wait
from server.providers.gemini_outcomes import UNUSABLE, Setback, explain, read
from server.providers.gemini_wire import GeminiWire
from server.providers.prompt import Prompt

MAX_NOTE_CHARS = 500

PAUSED: Final = "Drawing is paused for a moment; this picture is waiting for its turn."
BUSY: Final = "Too many pictures are being drawn right now."
NOT_PREPARED: Final = "Drawing this photo did not work."

_FORESEEN = (errors.APIError, HTTPError, TimeoutError, OSError, ValueError)

log = logging.getLogger("anime.gemini")


class GeminiPictures:
    """A `PictureMaker` that asks one model with one prompt."""

    __slots__ = ("_breaker", "_clock", "_ended", "_lab", "_model", "_prompt", "_secret", "_wire")

    def __init__(
        self, wire: GeminiWire, lab: PhotoLab, *, model: str, prompt: Prompt, clock: Clock, secret: str
    ) -> None:
        self._wire, self._lab, self._model, self._prompt, self._clock = wire, lab, model, prompt, clock
        self._secret = secret
        self._breaker = Breaker()
        self._ended: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<GeminiPictures {self._model} {self._prompt.version} {self._breaker!r}>"

    @property
    def breaker(self) -> Breaker:
        """Whether the model is being called at all."""
        return self._breaker

    def metrics(self) -> Mapping[str, float]:
        """How attempts ended, by the version of the prompt, and whether the model is being called."""
        version = self._prompt.version
        counts = {f'anime_gemini_total{{prompt="{version}",outcome="{how}"}}': n for how, n in self._ended.items()}
        return {**counts, "anime_gemini_paused": float(self._breaker.state != "closed")}

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()

    async def transform(self, photo: bytes) -> Photo | Refused | Transient | Broken | Later:
        """The picture, or why there is none."""
        admitted = self._breaker.ask(self._clock())
        if isinstance(admitted, Wait):
            made: Photo | Refused | Transient | Broken | Later = Later(admitted.until, PAUSED)
        else:
            is_probe = self._breaker.state == "half-open"
            try:
                made = await self._draw(photo, admitted)
            finally:
                self._breaker.abandon(admitted)
            if is_probe and self._breaker.state == "open" and isinstance(made, Transient | Broken):
                # It was asked for all who wait, so it is not this photo's loss.
                made = Later(self._breaker.until, PAUSED)
        self._ended["drawn" if isinstance(made, Photo) else type(made).__name__.lower()] += 1
        return made

    async def _draw(self, photo: bytes, call: Pass) -> Photo | Refused | Transient | Broken:
        started = self._clock()
        try:
            jpeg = await self._lab.for_model(photo)
            answer = await self._ask(jpeg)
            made = await self._finish(answer) if isinstance(answer, bytes) else answer
        except LabBusy:
            return Transient(BUSY)
        except LabCrashed:
            return Transient(NOT_PREPARED)
        if isinstance(made, Setback):
            self._report(call, made)
            return made.outcome
        self._breaker.well(call)
        taken_s = (self._clock() - started) / 1_000
        self._log(logging.INFO, "gemini.drawn", f"drawn in {taken_s:.1f} s from {len(jpeg):,} bytes")
        return made

    async def _ask(self, jpeg: bytes) -> bytes | Setback:
        try:
            return read(await self._wire.ask(self._model, jpeg, self._prompt.text))
        except Exception as error:  # whatever a vendor's library makes of whatever comes over the network
            if not isinstance(error, _FORESEEN):
                log.exception("gemini answered what nobody foresaw", extra={"action": "gemini.unforeseen"})
            return explain(error)

    async def _finish(self, picture: bytes) -> Photo | Setback:
        try:
            return await self._lab.finish(picture)
        except (BadPhoto, LabCrashed) as error:
            return Setback(Transient(UNUSABLE), "ailing", f"unusable picture of {len(picture):,} bytes: {error}")

    def _report(self, call: Pass, setback: Setback) -> None:
        """Tell the breaker, and the log."""
        now = self._clock()
        match setback.health:
            case "well":
                self._breaker.well(call)
            case "ailing":
                self._breaker.ailing(call, now)
            case "down":
                asked = setback.outcome.retry_after if isinstance(setback.outcome, Transient) else None
                self._breaker.down(call, now, asked or 0.0)
        match setback.outcome:
            case Broken():
                advice = f"check {setback.check}: {setback.note}"
                self._log(logging.ERROR, "gemini.misconfigured", advice)
            case Refused():
                self._log(logging.INFO, "gemini.refused", setback.note)
            case Transient():
                self._log(logging.WARNING, "gemini.failed", setback.note)

    def _log(self, level: int, action: str, note: str) -> None:
        told = " ".join(note.replace(self._secret, "***").split())[:MAX_NOTE_CHARS]
        line = "gemini %s, prompt %s: %s; %r"
        log.log(level, line, self._model, self._prompt.version, told, self._breaker, extra={"action": action})


def open_gemini(
    lab: PhotoLab, *, api_key: str, model: str, prompt: Prompt, clock: Clock, base_url: str | None, deadline_s: float
) -> GeminiPictures:
    """Gemini as production calls it. `deadline_s` is for one call, not for the attempt around it."""
    wire = GeminiWire(api_key=api_key, base_url=base_url, call_deadline_s=deadline_s)
    return GeminiPictures(wire, lab, model=model, prompt=prompt, clock=clock, secret=api_key)
