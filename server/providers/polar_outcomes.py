"""What Polar's refusals and silences mean: for the member, for the operator, and for whether anything came of the call.

Invariant: every failure means something; sentences for members are ours, Polar's words are only for the log.
"""

from __future__ import annotations

from typing import Final

import httpx
import msgspec

from jobs.outcome import Broken, Refused, Transient
from schema.values import Millis, hours, seconds

BUSY: Final = "Very many people are paying right now."
TROUBLE: Final = "Our payment partner had a problem."
UNREACHABLE: Final = "Our payment partner could not be reached."
NO_ANSWER: Final = "Our payment partner did not answer in time."
NOT_UNDERSTOOD: Final = "Our payment partner's answer could not be read."
UNAVAILABLE: Final = "Payments are not possible right now."
EMAIL_REFUSED: Final = "Our payment partner does not accept this e-mail address."

BUSY_CODE = 429
SLOW_CODE = 408
UNPROCESSABLE_CODE = 422
TOKEN_CODES: Final = frozenset({401, 402, 403})
NOT_OFFERED_CODES: Final = frozenset({404, 405})
GAVE_UP_CODES: Final = frozenset({SLOW_CODE, 502, 504})
"""Said by who stands between us and the server, which may have done as it was told."""
EDGE_CODE = 520
"""From here on: a content network that has no answer to pass on."""
MAX_DELAY_DIGITS = 6
MAX_DELAY_MS: Millis = hours(1)


class PolarFailed(Exception):
    """A call came to nothing that we could use. `note` is for the log; `check` names the variables for an operator to look at.

    `is_void`: certainly nothing was done at Polar either, so it may be asked again.
    """

    def __init__(
        self,
        outcome: Transient | Broken | Refused,
        note: str,
        *,
        status: int | None = None,
        is_void: bool = False,
        check: str = "",
    ) -> None:
        super().__init__(outcome.reason)
        self.outcome, self.note, self.status, self.is_void, self.check = outcome, note, status, is_void, check

    @property
    def is_not_offered(self) -> bool:
        """Is there no such thing over there?"""
        return self.status in NOT_OFFERED_CODES

    @property
    def is_unreachable(self) -> bool:
        """Did nobody listen?"""
        return self.status is None and self.is_void


class _Wrong(msgspec.Struct, frozen=True):
    loc: list[str | int] = []
    msg: str = ""
    type: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""
    detail: str | list[_Wrong] = ""
    error_description: str = ""


def answered(status: int, body: bytes, retry_after: str) -> PolarFailed:
    """What an answer means that is not a good one."""
    said = _said(body)
    note = f"{status} {said.error} {said.error_description or said.detail}"
    is_void = status not in GAVE_UP_CODES and 400 <= status < EDGE_CODE
    outcome: Transient | Broken | Refused
    check = ""
    if status == BUSY_CODE:
        outcome = Transient(BUSY, _delay(retry_after))
    elif status >= 500 or status == SLOW_CODE:
        outcome = Transient(TROUBLE if is_void else NO_ANSWER, _delay(retry_after))
    elif status == UNPROCESSABLE_CODE and _is_about_the_email(said):
        outcome = Refused(EMAIL_REFUSED)
    else:
        outcome = Broken(UNAVAILABLE)
        check = "POLAR_ACCESS_TOKEN" if status in TOKEN_CODES else "POLAR_PRODUCT_ID, POLAR_ENV and POLAR_BASE_URL"
    return PolarFailed(outcome, note, status=status, is_void=is_void, check=check)


def unanswered(error: Exception) -> PolarFailed:
    """What it means that no answer came, or only a part of one."""
    note = f"{type(error).__name__}: {error}"
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError() | httpx.PoolTimeout():
            return PolarFailed(Transient(UNREACHABLE), note, is_void=True)
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return PolarFailed(Broken(UNAVAILABLE), note, is_void=True, check="POLAR_BASE_URL")
        case httpx.DecodingError():
            return PolarFailed(Transient(NOT_UNDERSTOOD), note)
        case _:
            return PolarFailed(Transient(NO_ANSWER), note)


def _said(body: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Refusal(error=f"{len(body):,} bytes of no error of Polar's")


def _is_about_the_email(said: _Refusal) -> bool:
    """Is the member's address all that is wrong?"""
    wrong = said.detail if isinstance(said.detail, list) else []
    return bool(wrong) and all("customer_email" in each.loc for each in wrong)


def _delay(text: str) -> Millis | None:
    """How long Polar asks us to wait; it says it in seconds."""
    if not text.isascii() or not text.isdecimal() or len(text) > MAX_DELAY_DIGITS:
        return None
    return min(MAX_DELAY_MS, seconds(int(text)))
