"""Every failure that a client may read, and the one place that decides what it reads.

    ApplicationError        blame: the caller; reaches clients as a ConvexError with {code, message}
    ├── Unauthenticated     UNAUTHENTICATED
    ├── Forbidden           FORBIDDEN
    ├── Missing             NOT_FOUND
    ├── Invalid             VALIDATION, names the field
    ├── InsufficientCredits INSUFFICIENT_CREDITS
    ├── Conflict            CONFLICT
    ├── RateLimited         RATE_LIMITED, with retryAfterMs
    └── Moderated           MODERATED, with the moderator's reason

Anything else becomes `Server Error` with a request id; what happened is in the log under that id.
"""

from __future__ import annotations

import msgspec

from schema.errors import BudgetExceeded, InvalidCursor, NotFound, NotUnique, WriteConflict
from schema.wire import encode_value


class ApplicationError(Exception):
    """A refusal in words for people, with a stable code."""

    code = "VALIDATION"

    def __init__(self, message: str, **more: float | str) -> None:
        super().__init__(message)
        self.message, self.more = message, more

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Unauthenticated(ApplicationError):
    """The caller is not signed in."""

    code = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("Please sign in first.")


class Forbidden(ApplicationError):
    """The caller is known and may not do this."""

    code = "FORBIDDEN"

    def __init__(self, message: str = "You are not allowed to do this.") -> None:
        super().__init__(message)


class Missing(ApplicationError):
    """What the caller named does not exist, or not for them."""

    code = "NOT_FOUND"

    def __init__(self, what: str = "document") -> None:
        super().__init__(f"This {what} does not exist.")


class Invalid(ApplicationError):
    """An argument is wrong; the field is named."""

    code = "VALIDATION"

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}", field=field)


class InsufficientCredits(ApplicationError):
    """The balance is too low."""

    code = "INSUFFICIENT_CREDITS"

    def __init__(self, needed: int, available: int) -> None:
        super().__init__(
            f"You need {needed} credit{'' if needed == 1 else 's'} for this and have {available}.",
            needed=needed,
            available=available,
        )


class Conflict(ApplicationError):
    """The document is not in a state in which this can be done."""

    code = "CONFLICT"


class RateLimited(ApplicationError):
    """Too many calls; try again after the given time."""

    code = "RATE_LIMITED"

    def __init__(self, retry_after_ms: float) -> None:
        super().__init__("Too many requests. Please wait a moment.", retryAfterMs=float(retry_after_ms))


class Moderated(ApplicationError):
    """A moderator has decided otherwise."""

    code = "MODERATED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"A moderator has hidden this image: {reason}", reason=reason)


class PublicError(msgspec.Struct, frozen=True):
    """What a client is told: a text, and for application errors their data, encoded."""

    message: str
    data: bytes | None = None


def application_error(error: ApplicationError) -> PublicError:
    """The error as its caller reads it."""
    data = {"code": error.code, "message": error.message, **error.more}
    return PublicError(str(error), encode_value(data))


def known(error: Exception) -> PublicError | None:
    """What the public may read of this error, or None where it may read nothing."""
    match error:
        case ApplicationError():
            return application_error(error)
        case InvalidCursor():
            # The form from which usePaginatedQuery recovers (sync-protocol 7.4).
            return PublicError(
                str(error), encode_value({"isConvexSystemError": True, "paginationError": "InvalidCursor"})
            )
        case NotFound():
            return application_error(Missing())
        case BudgetExceeded():
            return application_error(Invalid("arguments", "this call would read too much; ask for less"))
        case NotUnique() | WriteConflict():
            return application_error(Conflict("Somebody else changed this at the same moment. Please try again."))
        case _:
            return None


def server_error(request_id: str) -> PublicError:
    """What a client is told of everything unexpected."""
    return PublicError(f"[Request ID: {request_id}] Server Error")


def unknown_function(path: str) -> PublicError:
    """There is no such function for clients; an internal one looks the same."""
    return PublicError(f"Could not find public function for '{path}'")
