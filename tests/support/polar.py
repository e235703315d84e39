"""A stand-in for Polar that speaks its REST API over real HTTP on a local port, and misbehaves on request.

Invariant: each kind of call is answered with the next scenario it was told, else as Polar would from the checkouts, orders and
refunds that are kept here; every call is kept as well.
"""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import struct
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from schema.values import Millis, seconds
from server.ids import capability_id

FIXTURES = Path(__file__).parents[1] / "fixtures" / "polar"
PATIENCE_S = 20.0
CHUNK_BYTES = 256 << 10
TOKEN: Final = "polar_oat_not_a_real_token"
PRODUCT: Final = "00000000-0000-4000-8000-0000000000b1"
VENDOR: Final = "words of the vendor 4711"
"""In every refusal and error of ours below; no member may ever read it."""

Json: TypeAlias = Any
Kind: TypeAlias = Literal["create", "checkouts", "checkout", "orders", "order", "refunds"]
Scenario: TypeAlias = Callable[["PolarSite", Request], Awaitable[Response]]


class Call(NamedTuple):
    """What a client asked for."""

    kind: Kind
    headers: dict[str, str]
    query: dict[str, str]
    body: Json


class PolarSite:
    """One running stand-in. Lists are kept oldest first and told newest first."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.checkouts: list[Json] = []
        self.orders: list[Json] = []
        self.refunds: list[Json] = []
        self.page_items = 100
        self._scripts: defaultdict[Kind, deque[Scenario]] = defaultdict(deque)
        self._asked = asyncio.Event()
        self.released = asyncio.Event()
        """What stalls goes on when this is set."""

    def __repr__(self) -> str:
        return f"<PolarSite {self.url}, {len(self.calls)} calls, {len(self.checkouts)} checkouts>"

    def will(self, kind: Kind, *scenarios: Scenario) -> None:
        """Answer the next calls of this kind so."""
        self._scripts[kind].extend(scenarios)

    def clear(self) -> None:
        """As at first."""
        for each in (self.calls, self.checkouts, self.orders, self.refunds, self._scripts):
            each.clear()
        self.page_items = 100
        self._asked.clear()
        self.released.clear()

    def count(self, kind: Kind) -> int:
        """How often this was asked for."""
        return sum(call.kind == kind for call in self.calls)

    async def asked(self) -> None:
        """Wait for a call."""
        async with asyncio.timeout(PATIENCE_S):
            await self._asked.wait()

    # --- what happens over there --------------------------------------------------------------------------

    def open(self, wanted: Json) -> Json:
        """A checkout, as Polar makes one."""
        checkout = recorded("checkout.create.response.201")
        checkout_id, secret = capability_id(), f"polar_c_{capability_id()}"
        (price,) = wanted["prices"][wanted["products"][0]]
        checkout |= {
            "id": checkout_id,
            "created_at": iso(now()),
            "client_secret": secret,
            "url": f"{self.url}/checkout/{secret}",
            "amount": price["price_amount"],
            "success_url": wanted["success_url"].replace("{CHECKOUT_ID}", checkout_id),
            "external_customer_id": wanted["external_customer_id"],
            "metadata": wanted["metadata"],
        }
        self.checkouts.append(checkout)
        return checkout

    def pay(self, checkout: Json, created_at: Millis | None = None, **changes: Json) -> Json:
        """The order that a checkout leads to."""
        checkout["status"] = "succeeded"
        order = recorded("order.paid")["data"]
        order |= {
            "id": capability_id(),
            "created_at": iso(now() if created_at is None else created_at),
            "modified_at": None,
            "net_amount": checkout["amount"],
            "checkout_id": checkout["id"],
            "metadata": checkout["metadata"],
        }
        order["customer"] |= {"id": capability_id(), "external_id": checkout["external_customer_id"]}
        order |= {"customer_id": order["customer"]["id"], **changes}
        self.orders.append(order)
        return order

    def refund(self, order: Json, cents: int, created_at: Millis | None = None) -> Json:
        """Money that goes back."""
        moment = iso(now() if created_at is None else created_at)
        back = order["refunded_amount"] + cents
        status = "refunded" if back >= order["net_amount"] else "partially_refunded"
        order |= {"refunded_amount": back, "status": status, "modified_at": moment}
        refund = recorded("refund.created")["data"]
        refund |= {"id": capability_id(), "order_id": order["id"], "amount": cents, "created_at": moment}
        self.refunds.append(refund)
        return refund

    # --- the API ------------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        """`POST /v1/checkouts/`."""
        return JSONResponse(self.open(json.loads(await request.body())), 201)

    async def list_checkouts(self, request: Request) -> Response:
        """`GET /v1/checkouts/`."""
        buyer = request.query_params.get("external_customer_id")
        return self._page(request, [each for each in self.checkouts if each["external_customer_id"] == buyer])

    async def list_orders(self, request: Request) -> Response:
        """`GET /v1/orders/`."""
        return self._page(request, self.orders)

    async def list_refunds(self, request: Request) -> Response:
        """`GET /v1/refunds/`."""
        return self._page(request, self.refunds)

    async def get_checkout(self, request: Request) -> Response:
        """`GET /v1/checkouts/{id}`."""
        return _first(request, self.checkouts)

    async def get_order(self, request: Request) -> Response:
        """`GET /v1/orders/{id}`."""
        return _first(request, self.orders)

    def _page(self, request: Request, kept: list[Json]) -> Response:
        limit, page = min(int(request.query_params["limit"]), self.page_items), int(request.query_params["page"])
        told = sorted(kept, key=_age_of, reverse=request.query_params["sorting"] == "-created_at")
        pagination = {"total_count": len(told), "max_page": -(-len(told) // limit)}
        return JSONResponse({"items": told[(page - 1) * limit : page * limit], "pagination": pagination})

    def endpoint(
        self, kind: Kind, usual: Callable[[Request], Awaitable[Response]]
    ) -> Callable[..., Awaitable[Response]]:
        """One kind of call: kept, checked for the token and the version, and answered as scripted or as usual."""

        async def answer(request: Request) -> Response:
            body = await request.body()
            headers, query = dict(request.headers), dict(request.query_params)
            self.calls.append(Call(kind, headers, query, json.loads(body) if body else None))
            self._asked.set()
            if headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse(recorded("error.401"), 401)
            if headers.get("polar-version") != "2026-10":
                return JSONResponse({"error": "BadVersion", "detail": "Which version?"}, 400)
            script = self._scripts[kind]
            return await (script.popleft()(self, request) if script else usual(request))

        return answer

    def routes(self) -> list[Route]:
        """The part of the API that our client uses."""
        table: tuple[tuple[str, str, Kind, Callable[[Request], Awaitable[Response]]], ...] = (
            ("POST", "/v1/checkouts/", "create", self.create),
            ("GET", "/v1/checkouts/", "checkouts", self.list_checkouts),
            ("GET", "/v1/checkouts/{id}", "checkout", self.get_checkout),
            ("GET", "/v1/orders/", "orders", self.list_orders),
            ("GET", "/v1/orders/{id}", "order", self.get_order),
            ("GET", "/v1/refunds/", "refunds", self.list_refunds),
        )
        return [Route(path, self.endpoint(kind, usual), methods=[method]) for method, path, kind, usual in table]


def now() -> Millis:
    """The time of this machine."""
    return seconds(datetime.now(UTC).timestamp())


def iso(moment: Millis) -> str:
    """A time as Polar writes it."""
    return datetime.fromtimestamp(moment / 1_000, UTC).isoformat().replace("+00:00", "Z")


def recorded(name: str) -> Json:
    """A recorded payload, for example `error.404`; a copy of its own."""
    return copy.deepcopy(json.loads((FIXTURES / f"{name}.json").read_text()))


def _age_of(each: Json) -> str:
    return str(each["created_at"])


def _first(request: Request, kept: list[Json]) -> Response:
    for each in kept:
        if each["id"] == request.path_params["id"]:
            return JSONResponse(each)
    return JSONResponse(recorded("error.404"), 404)


# --- scenarios -------------------------------------------------------------------------------------------------------


def says(body: str | bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> Scenario:
    """Exactly these words."""

    async def scenario(site: PolarSite, request: Request) -> Response:
        told = {name.replace("_", "-"): each for name, each in headers.items()}
        return Response(body, status, told, content_type)

    return scenario


def told(name: str) -> Scenario:
    """A recorded refusal: `error.401`, `error.404`, `error.422`."""
    return says(json.dumps(recorded(name)), int(name.rpartition(".")[2]))


def fails(status: int, **headers: str) -> Scenario:
    """An error as Polar words it."""
    return says(json.dumps({"error": "InternalServerError", "detail": VENDOR}), status, **headers)


async def stalls(site: PolarSite, _: Request) -> Response:
    """Says nothing until the site is released, and has done nothing."""

    async def body() -> AsyncIterator[bytes]:
        await site.released.wait()
        yield b"{}"

    return StreamingResponse(body(), 200, media_type="application/json")


async def creates_and_stalls(site: PolarSite, request: Request) -> Response:
    """Does as it was told and does not say so."""
    site.open(json.loads(await request.body()))
    return await stalls(site, request)


async def resets(_: PolarSite, request: Request) -> Response:
    """The connection is reset instead of an answer, and nothing was done."""
    return _Abrupt(request.scope["hang_up"])


async def creates_and_resets(site: PolarSite, request: Request) -> Response:
    """The answer is lost after everything was done."""
    site.open(json.loads(await request.body()))
    return await resets(site, request)


def floods(size: int) -> Scenario:
    """Very many blanks, of a length not told beforehand."""

    async def scenario(site: PolarSite, _: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(0, size, CHUNK_BYTES):
                yield b" " * CHUNK_BYTES

        return StreamingResponse(body(), media_type="application/json")

    return scenario


class _Abrupt(Response):
    def __init__(self, hang_up: Callable[[], None]) -> None:
        super().__init__()
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._hang_up()


def _hanging_up(send: Any) -> Callable[[], None]:
    """How to reset the connection beneath a response: uvicorn gives no other way to be rude than its own transport."""
    transport = send.__self__.transport

    def hang_up() -> None:
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()

    return hang_up


@asynccontextmanager
async def polar_site() -> AsyncIterator[PolarSite]:
    """A running stand-in; its `url` is what `POLAR_BASE_URL` should be, `TOKEN` and `PRODUCT` what goes with it."""
    site = PolarSite()
    routes = Starlette(routes=site.routes())
    routes.router.redirect_slashes = False

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["hang_up"] = _hanging_up(send)
        await routes(scope, receive, send)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        site.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]), name="polar stand-in")
        try:
            yield site
        finally:
            site.released.set()
            server.should_exit = True
            await running
