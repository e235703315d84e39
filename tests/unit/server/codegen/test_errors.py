"""What a failed call raises."""

from __future__ import annotations

import pytest
from msgspec import Raw

from schema.errors import InvalidCursor
from server.codegen.errors import ConvexError, ServerError, error_of
from server.errors import InsufficientCredits, RateLimited, known, server_error
from subscriptions.events import Trouble


def trouble_of(error: Exception) -> Trouble:
    """The error as a client machine tells of it."""
    public = known(error)
    assert public is not None
    assert public.data is not None
    return Trouble(public.message, Raw(public.data))


def test_a_refusal_has_a_code_and_what_the_code_adds() -> None:
    error = error_of(trouble_of(InsufficientCredits(needed=3, available=1)))
    assert isinstance(error, ConvexError)
    assert (error.code, error.message) == ("INSUFFICIENT_CREDITS", "You need 3 credits for this and have 1.")
    assert error.more == {"needed": 3, "available": 1}
    assert error.retry_after_ms is None
    assert str(error) == "INSUFFICIENT_CREDITS: You need 3 credits for this and have 1."


def test_when_to_come_back_is_a_number() -> None:
    error = error_of(trouble_of(RateLimited(1_500)))
    assert isinstance(error, ConvexError)
    assert error.retry_after_ms == 1_500.0


def test_a_page_position_that_cannot_be_used_is_a_refusal_too() -> None:
    error = error_of(trouble_of(InvalidCursor()))
    assert isinstance(error, ConvexError)
    assert error.code == "InvalidCursor"
    assert str(error).startswith("InvalidCursor: this position")


@pytest.mark.parametrize("data", [None, Raw(b'"text"'), Raw(b"{}"), Raw(b'{"code": 3.0}')])
def test_everything_else_is_the_servers_fault(data: Raw | None) -> None:
    error = error_of(Trouble(server_error("77").message, data))
    assert isinstance(error, ServerError)
    assert str(error) == "[Request ID: 77] Server Error"
