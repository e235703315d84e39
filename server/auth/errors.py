"""Why somebody was not let in.

AuthError
  TokenRefused     this token proves nothing; the caller needs another one
  KeysUnavailable  the issuer's keys cannot be fetched now; the same token may be good later
  GrantRefused     this upload permission is not ours, or is over
  SignatureRefused this webhook was not signed with a secret of ours; why is for the log alone

Every sentence is written for people; none quotes a library or the token.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

GrantFault: TypeAlias = Literal["expired", "invalid"]

_GRANT_SENTENCES: dict[GrantFault, str] = {
    "expired": "This upload link has expired. Please start the upload again.",
    "invalid": "This upload link is not valid. Please start the upload again.",
}


class AuthError(Exception):
    """Root of this folder's errors. `code` is stable and goes on the wire."""

    code: ClassVar[str]
    blame: ClassVar[Literal["caller", "us", "provider"]]
    retryable: ClassVar[bool]


class TokenRefused(AuthError):
    """This token proves nothing; the caller needs another one."""

    code = "UNAUTHENTICATED"
    blame = "caller"
    retryable = False

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeysUnavailable(AuthError):
    """The issuer's keys cannot be fetched now, so nothing can be said about the token."""

    code = "AUTH_UNAVAILABLE"
    blame = "provider"
    retryable = True

    def __init__(self) -> None:
        super().__init__("Sign-in cannot be checked right now. Please try again in a moment.")


class GrantRefused(AuthError):
    """This upload permission is not ours, or is over."""

    code = "FORBIDDEN"
    blame = "caller"
    retryable = False

    def __init__(self, fault: GrantFault) -> None:
        super().__init__(_GRANT_SENTENCES[fault])
        self.fault = fault


class SignatureRefused(AuthError):
    """This webhook was not signed with a secret of ours. Its sentence holds nothing that was sent, and is for the log alone."""

    code = "FORBIDDEN"
    blame = "caller"
    retryable = False
