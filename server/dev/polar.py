"""Polar's API, as far as we call it, on our own server: development buys through the same client as production.

Invariant: what is asked for and answered has Polar's form (API 2026-10), refusals too; only the access token is anybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.dev.sales import DevPolar, Wanted
from server.web.bodies import BodyTooLarge, BodyTooSlow, read_body

MAX_BODY_BYTES = 64 * 1024
MAX_LIMIT, DEFAULT_LIMIT = 100, 10
MAX_DIGITS = 9


def polar_routes(polar: DevPolar) -> list[Route]:
    """The part of the API that our client uses, below `/dev/polar`."""

    async def create(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await read_body(request, MAX_BODY_BYTES), type=Wanted)
            return _answer(polar.open(wanted), 201)
        except (BodyTooLarge, BodyTooSlow):
            return _invalid(f"At most {MAX_BODY_BYTES} bytes, and soon.")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _invalid(str(error))
        except LookupError:
            return _invalid("A product is needed, and in prices a price for it.")

    async def checkouts(request: Request) -> Response:
        buyer = request.query_params.get("external_customer_id")
        return _page(request, [each for each in polar.checkouts() if buyer in (None, each.external_customer_id)])

    async def orders(request: Request) -> Response:
        checkout = request.query_params.get("checkout_id")
        return _page(request, [each for each in polar.orders() if checkout in (None, each.checkout_id)])

    async def refunds(request: Request) -> Response:
        order = request.query_params.get("order_id")
        return _page(request, [each for each in polar.refunds() if order in (None, each.order_id)])

    async def checkout(request: Request) -> Response:
        return _first(each for each in polar.checkouts() if each.id == request.path_params["id"])

    async def order(request: Request) -> Response:
        return _first(each for each in polar.orders() if each.id == request.path_params["id"])

    return [
        Route("/dev/polar/v1/checkouts/", create, methods=["POST"]),
        Route("/dev/polar/v1/checkouts/", checkouts, methods=["GET"]),
        Route("/dev/polar/v1/checkouts/{id}", checkout, methods=["GET"]),
        Route("/dev/polar/v1/orders/", orders, methods=["GET"]),
        Route("/dev/polar/v1/orders/{id}", order, methods=["GET"]),
        Route("/dev/polar/v1/refunds/", refunds, methods=["GET"]),
    ]


def _page(request: Request, found: Sequence[object]) -> Response:
    limit = min(max(_number(request, "limit", DEFAULT_LIMIT), 1), MAX_LIMIT)
    start = (max(_number(request, "page", 1), 1) - 1) * limit
    pagination = {"total_count": len(found), "max_page": -(-len(found) // limit)}
    return _answer({"items": found[start : start + limit], "pagination": pagination})


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else default


def _first(found: Iterable[object]) -> Response:
    for each in found:
        return _answer(each)
    return _answer({"error": "ResourceNotFound", "detail": "Not found"}, 404)


def _invalid(message: str) -> Response:
    wrong = {"loc": ["body"], "msg": message, "type": "value_error"}
    return _answer({"error": "RequestValidationError", "detail": [wrong]}, 422)


def _answer(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {"Cache-Control": "no-store"}, "application/json")
