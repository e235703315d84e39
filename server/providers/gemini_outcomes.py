"""What Gemini's answers and failures mean: for the member, for the operator, and for whether to call again.

Invariant: every answer and every error means something; sentences for members are ours, vendor text is only for the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import httpx2
import msgspec
from google.genai import errors, types

from jobs.outcome import Broken, Refused, Transient
from schema.values import Millis, seconds

Health: TypeAlias = Literal["well", "ailing", "down"]
"""What an outcome says about the provider: it works; it failed this once; nobody's call will work for now."""

UNSUITABLE: Final = "This photo cannot be turned into a picture: it may break the rules of our drawing partner."
TOO_ALIKE: Final = "This photo cannot be turned into a picture: the result would be too close to an existing work."
TOO_PERSONAL: Final = "This photo cannot be turned into a picture: it may show somebody's private details."
UNREADABLE: Final = "Our drawing partner could not read this photo. Try another one."
NO_PICTURE: Final = "No picture came out of this photo this time."
UNUSABLE: Final = "The picture that came back could not be used."
OVERLOADED: Final = "Very many pictures are being drawn right now."
UNREACHABLE: Final = "Our drawing partner could not be reached."
TOO_SLOW: Final = "Drawing this picture took too long."
TROUBLE: Final = "Our drawing partner had a problem."
UNAVAILABLE: Final = "Pictures cannot be drawn right now."

FINAL_FINISHES: Final = {
    "SAFETY": UNSUITABLE,
    "IMAGE_SAFETY": UNSUITABLE,
    "PROHIBITED_CONTENT": UNSUITABLE,
    "IMAGE_PROHIBITED_CONTENT": UNSUITABLE,
    "BLOCKLIST": UNSUITABLE,
    "MODEL_ARMOR": UNSUITABLE,
    "ESCALATION": UNSUITABLE,
    "RECITATION": TOO_ALIKE,
    "IMAGE_RECITATION": TOO_ALIKE,
    "SPII": TOO_PERSONAL,
}
ACCOUNT_FINISHES: Final = frozenset({"PUP_LIMITED_DISABLED"})
"""Not about the photo: Google has limited the account whose key this is."""

BUSY_CODE = 429
TROUBLED_CODES: Final = frozenset({408, 409, 499})
KEY_CODES: Final = frozenset({401, 402, 403})
_ABOUT_THE_PHOTO = re.compile(
    r"\b(input|provided|inline|process\w*)\b.*\bimage\b|\bimage\b.*\b(corrupt|invalid|not valid)", re.IGNORECASE
)
_ABOUT_THE_REQUEST = re.compile(r"modalit|aspect|image_?config|image_?size", re.IGNORECASE)
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


class Setback(msgspec.Struct, frozen=True):
    """Why there is no picture. `note` is for the log; `check` names the variables that an operator should look at."""

    outcome: Refused | Transient | Broken
    health: Health
    note: str
    check: str = ""


def read(answer: types.GenerateContentResponse) -> bytes | Setback:
    """The picture in an answer: the last one that is no draft."""
    feedback = answer.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        return Setback(Refused(UNSUITABLE), "well", f"prompt blocked: {feedback.block_reason.value}")
    if not answer.candidates:
        return Setback(Transient(NO_PICTURE), "ailing", "no candidates")
    finish = answer.candidates[0].finish_reason
    finished = finish.value if finish is not None else "no finish reason"
    note = f"no picture: {finished}"
    if finished in FINAL_FINISHES:
        return Setback(Refused(FINAL_FINISHES[finished]), "well", note)
    if finished in ACCOUNT_FINISHES:
        return Setback(Broken(UNAVAILABLE), "down", note, "GEMINI_API_KEY")
    pictures = list(_pictures(answer.candidates[0]))
    return pictures[-1] if pictures else Setback(Transient(NO_PICTURE), "well", note)


def explain(error: Exception) -> Setback:
    """What an error means."""
    if isinstance(error, errors.APIError):
        return _told(error)
    note = f"{type(error).__name__}: {error}"
    match error:
        case TimeoutError() | httpx2.TimeoutException():
            return Setback(Transient(TOO_SLOW), "ailing", note)
        case httpx2.ReadError() | httpx2.RemoteProtocolError() | httpx2.DecodingError():
            return Setback(Transient(UNUSABLE), "ailing", note)
        case httpx2.HTTPError() | OSError():
            return Setback(Transient(UNREACHABLE), "ailing", note)
        case httpx2.InvalidURL():
            return Setback(Broken(UNAVAILABLE), "down", note, "GEMINI_BASE_URL")
        case _:
            return Setback(Transient(UNUSABLE), "ailing", note)


def _told(error: errors.APIError) -> Setback:
    """What a status other than 200 means."""
    code, note = error.code, f"{error.code} {error.status}: {error.message}"
    if code == BUSY_CODE:
        return Setback(Transient(OVERLOADED, _asked(error)), "down", note)
    if code >= 500 or code in TROUBLED_CODES:
        return Setback(Transient(TROUBLE), "ailing", note)
    if code == 400 and _is_about_the_photo(error):
        return Setback(Refused(UNREADABLE), "well", note)
    if code in KEY_CODES or _is_about_the_key(error):
        return Setback(Broken(UNAVAILABLE), "down", note, "GEMINI_API_KEY")
    return Setback(Broken(UNAVAILABLE), "down", note, "GEMINI_MODEL and GEMINI_BASE_URL")


def _pictures(candidate: types.Candidate) -> Iterator[bytes]:
    for part in (candidate.content.parts if candidate.content else None) or ():
        blob = part.inline_data
        if blob is not None and blob.data and (blob.mime_type or "").startswith("image/") and not part.thought:
            yield blob.data


def _is_about_the_key(error: errors.APIError) -> bool:
    reasons = [str(detail.get("reason", "")) for detail in _details(error)]
    return error.status == "FAILED_PRECONDITION" or any(reason.startswith("API_KEY_") for reason in reasons)


def _is_about_the_photo(error: errors.APIError) -> bool:
    said = str(error.message)
    return bool(_ABOUT_THE_PHOTO.search(said)) and not _ABOUT_THE_REQUEST.search(said)


def _asked(error: errors.APIError) -> Millis | None:
    """How long Google asks us to wait."""
    for detail in _details(error):
        if str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            delay = _DELAY.fullmatch(str(detail.get("retryDelay", "")))
            if delay is not None:
                return seconds(float(delay[1]))
    return None


def _details(error: errors.APIError) -> Iterator[dict[object, object]]:
    """The structured part of an error, as far as it has the shape that Google's have."""
    body: object = error.details
    told = body.get("error", body) if isinstance(body, dict) else None
    details = told.get("details") if isinstance(told, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            yield detail
