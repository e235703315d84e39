"""The limits that can be set from outside, one variable each: the field's name in capitals. 0 is unlimited.

Invariant: in development nothing is bounded by who or where the caller is, because everybody there is one address.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Limits for each member, each address, and each call. The defaults are development's."""

    mutations_per_minute_per_member: int = 0
    http_calls_per_minute_per_member: int = 0
    http_calls_per_minute_per_address: int = 0
    uploads_per_minute_per_member: int = 0
    uploads_per_minute_per_address: int = 0
    failed_sign_ins_per_minute_per_address: int = 0
    sockets_per_minute_per_address: int = 0
    max_sockets_per_address: int = 0
    max_sockets_per_member: int = 0
    query_timeout_s: int = 10
    mutation_timeout_s: int = 15
    action_timeout_s: int = 120


IN_PRODUCTION = Bounds(
    mutations_per_minute_per_member=600,
    http_calls_per_minute_per_member=1_200,
    http_calls_per_minute_per_address=1_200,
    uploads_per_minute_per_member=60,
    uploads_per_minute_per_address=300,
    failed_sign_ins_per_minute_per_address=30,
    sockets_per_minute_per_address=120,
    max_sockets_per_address=200,
    max_sockets_per_member=50,
)
"""An office behind one address must fit, and everybody's several windows."""


def read_bounds(read: Callable[[str, int], int], *, production: bool) -> Bounds:
    """The bounds that the environment gives. `read` takes a variable's name and what it is when not set."""
    defaults = IN_PRODUCTION if production else Bounds()
    return Bounds(**{name: read(name.upper(), getattr(defaults, name)) for name in Bounds.__struct_fields__})
