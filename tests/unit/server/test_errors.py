"""What clients may read of each failure: code and sentence of ours, and nothing at all of anything unexpected."""

from __future__ import annotations

import json

import pytest

from schema.errors import (
    BudgetExceeded,
    InvalidCursor,
    NotFound,
    NotUnique,
    SnapshotGone,
    StoreUnavailable,
    WriteConflict,
)
from server.errors import (
    ApplicationError,
    Conflict,
    Forbidden,
    InsufficientCredits,
    Invalid,
    Missing,
    Moderated,
    RateLimited,
    Unauthenticated,
    known,
    server_error,
    unknown_function,
)

CODES = {
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "NOT_FOUND",
    "VALIDATION",
    "INSUFFICIENT_CREDITS",
    "CONFLICT",
    "RATE_LIMITED",
    "MODERATED",
}


@pytest.mark.parametrize(
    ("error", "code", "message", "more"),
    [
        (Unauthenticated(), "UNAUTHENTICATED", "Please sign in first.", {}),
        (Forbidden(), "FORBIDDEN", "You are not allowed to do this.", {}),
        (Forbidden("Not yours."), "FORBIDDEN", "Not yours.", {}),
        (Missing(), "NOT_FOUND", "This document does not exist.", {}),
        (Missing("image"), "NOT_FOUND", "This image does not exist.", {}),
        (Invalid("numItems", "expected int"), "VALIDATION", "numItems: expected int", {"field": "numItems"}),
        (
            InsufficientCredits(1, 0),
            "INSUFFICIENT_CREDITS",
            "You need 1 credit for this and have 0.",
            {"needed": 1, "available": 0},
        ),
        (
            InsufficientCredits(2, 1),
            "INSUFFICIENT_CREDITS",
            "You need 2 credits for this and have 1.",
            {"needed": 2, "available": 1},
        ),
        (Conflict("Too late."), "CONFLICT", "Too late.", {}),
        (RateLimited(1500), "RATE_LIMITED", "Too many requests. Please wait a moment.", {"retryAfterMs": 1500}),
        (Moderated("Rude."), "MODERATED", "A moderator has hidden this image: Rude.", {"reason": "Rude."}),
        (NotFound("users", "x"), "NOT_FOUND", "This document does not exist.", {}),
        (
            BudgetExceeded(5),
            "VALIDATION",
            "arguments: this call would read too much; ask for less",
            {"field": "arguments"},
        ),
        (
            NotUnique("users", "userId"),
            "CONFLICT",
            "Somebody else changed this at the same moment. Please try again.",
            {},
        ),
        (WriteConflict("112"), "CONFLICT", "Somebody else changed this at the same moment. Please try again.", {}),
    ],
)
def test_what_is_said(error: Exception, code: str, message: str, more: dict[str, object]) -> None:
    public = known(error)
    assert public is not None
    assert public.message == f"{code}: {message}"
    assert public.data is not None
    assert json.loads(public.data) == {"code": code, "message": message, **more}
    assert code in CODES


def test_every_refusal_has_a_code_of_the_contract() -> None:
    assert {kind.code for kind in ApplicationError.__subclasses__()} == CODES


def test_numbers_are_written_as_every_client_reads_them() -> None:
    public = known(RateLimited(1500))
    assert public is not None
    assert b'"retryAfterMs":1500.0' in (public.data or b"")


def test_a_cursor_of_no_use_is_said_in_the_form_that_clients_recover_from() -> None:
    public = known(InvalidCursor())
    assert public is not None
    assert "InvalidCursor" in public.message
    assert json.loads(public.data or b"") == {"isConvexSystemError": True, "paginationError": "InvalidCursor"}


@pytest.mark.parametrize(
    "error", [ValueError("secret"), KeyError("secret"), TimeoutError(), SnapshotGone("x"), StoreUnavailable("x")]
)
def test_nothing_is_said_of_what_is_unexpected(error: Exception) -> None:
    assert known(error) is None


def test_plain_errors_carry_no_data() -> None:
    assert server_error("0123456789abcdef").message == "[Request ID: 0123456789abcdef] Server Error"
    assert server_error("x").data is None
    assert unknown_function("a:b").message == "Could not find public function for 'a:b'"
    assert unknown_function("a:b").data is None
