"""Polar over its REST API: the few calls we make, each under a deadline, up to a size, and tried once; who calls decides on more.

Invariant: a call returns what was asked for or raises `PolarFailed`. Polar's words go to the log, without our token in them, and
never into a sentence for a member.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Generic, Literal, NoReturn, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from jobs.outcome import Broken, Refused, Transient
from server.config import Settings
from server.providers.polar_outcomes import NOT_UNDERSTOOD, PolarFailed, answered, unanswered
from server.providers.polar_wire import API_VERSION, Checkout, Metadata, Order, Pagination, Refund
from server.trust import trust

T = TypeVar("T", bound=msgspec.Struct)

CALL_DEADLINE_S = 7.0
"""A look and a creation have to fit into one attempt at `create_checkout`."""
MAX_ANSWER_BYTES = 16 << 20
"""A list of a hundred orders, each with its product, many times over."""
PAGE_ITEMS = 100
MAX_NOTE_CHARS = 500
DEV_TOKEN: Final = "development"  # noqa: S105  # anybody may have it
DEV_PRODUCT: Final = "dev"

log = logging.getLogger("anime.polar")


class FixedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price made for one checkout."""

    price_amount: int
    price_currency: str
    amount_type: Literal["fixed"] = "fixed"


class NewCheckout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a payment page is to be for."""

    products: list[str]
    prices: dict[str, list[FixedPrice]]
    external_customer_id: str
    metadata: Metadata
    allow_discount_codes: bool
    success_url: str
    return_url: str
    customer_email: str | None = None
    customer_name: str | None = None
    embed_origin: str | None = None


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list, without the items that nobody could read."""

    items: list[T]
    is_last: bool


class _Items(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]
    pagination: Pagination = Pagination()


class PolarClient:
    """A connection pool to one Polar, and the requests we make of it."""

    __slots__ = ("_call_s", "_http", "_max_answer_bytes", "_token", "_url")

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        call_deadline_s: float = CALL_DEADLINE_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        trust_env: bool = True,
    ) -> None:
        self._url, self._token = base_url, token
        self._call_s, self._max_answer_bytes = call_deadline_s, max_answer_bytes
        headers = {
            "Authorization": f"Bearer {token}",
            "Polar-Version": API_VERSION,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._http = httpx.AsyncClient(headers=headers, timeout=call_deadline_s, verify=trust(), trust_env=trust_env)

    def __repr__(self) -> str:
        return f"<PolarClient of {self._url}>"

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def create_checkout(self, wanted: NewCheckout) -> Checkout:
        """Open a payment page. Not to be repeated lightly: Polar opens another one each time."""
        body = await self._call("POST", "/v1/checkouts/", body=msgspec.json.encode(wanted))
        return self._read(body, Checkout, "POST /v1/checkouts/")

    async def find_checkout(self, subject: str, session_id: str) -> Checkout | None:
        """The payment page that was opened for one of our sessions, among the newest of its member's."""
        of_member = {"external_customer_id": subject}
        for checkout in (await self._list("/v1/checkouts/", Checkout, of_member, 1)).items:
            if checkout.metadata.get("checkoutSessionId") == session_id:
                return checkout
        return None

    async def get_checkout(self, checkout_id: str) -> Checkout:
        """A payment page as it is now."""
        path = f"/v1/checkouts/{quote(checkout_id, safe='')}"
        return self._read(await self._call("GET", path), Checkout, path)

    async def get_order(self, order_id: str) -> Order:
        """An order as it is now."""
        path = f"/v1/orders/{quote(order_id, safe='')}"
        return self._read(await self._call("GET", path), Order, path)

    async def list_orders(self, page: int) -> Listing[Order]:
        """A page of all orders, newest first; the first page is 1."""
        return await self._list("/v1/orders/", Order, {}, page)

    async def list_refunds(self, page: int) -> Listing[Refund]:
        """A page of all refunds, newest first; the first page is 1."""
        return await self._list("/v1/refunds/", Refund, {}, page)

    async def _list(self, path: str, kind: type[T], matching: dict[str, str], page: int) -> Listing[T]:
        params = {**matching, "sorting": "-created_at", "limit": str(PAGE_ITEMS), "page": str(page)}
        listed = self._read(await self._call("GET", path, params=params), _Items, path)
        items: list[T] = []
        for each in listed.items:
            try:
                items.append(msgspec.json.decode(each, type=kind))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                log.error("polar %s: an item cannot be read: %s", path, error, extra={"action": "polar.unreadable"})
        return Listing(items, is_last=not listed.items or page >= listed.pagination.max_page)

    async def _call(
        self, method: str, path: str, *, params: dict[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        """The body of a good answer. Raises `PolarFailed`."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        what = f"{method} {path}"
        try:
            async with (
                asyncio.timeout(self._call_s),
                self._http.stream(method, self._url + path, params=params, content=body, headers=headers) as response,
            ):
                answer = await self._capped(response)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            self._fail(what, unanswered(error))
        if not response.is_success:
            self._fail(what, answered(response.status_code, answer, response.headers.get("retry-after", "")))
        return answer

    async def _capped(self, response: httpx.Response) -> bytes:
        """The body, unless it is larger than we would read; a compressed one could be any size, and was not asked for."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx.DecodingError("The answer is compressed, though we asked for it plain.")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > self._max_answer_bytes:
                raise httpx.DecodingError(f"The answer is larger than {self._max_answer_bytes:,} bytes.")
        return bytes(body)

    def _read(self, body: bytes, kind: type[T], what: str) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._fail(
                what, PolarFailed(Transient(NOT_UNDERSTOOD), f"{len(body):,} bytes that cannot be read: {error}")
            )

    def _fail(self, what: str, failed: PolarFailed) -> NoReturn:
        """Tell the log, and raise."""
        note = " ".join(failed.note.replace(self._token, "***").split())[:MAX_NOTE_CHARS]
        match failed.outcome:
            case Broken():
                level, action, advice = logging.ERROR, "polar.misconfigured", f"; check {failed.check}"
            case Refused():
                level, action, advice = logging.INFO, "polar.refused", ""
            case Transient():
                level, action, advice = logging.WARNING, "polar.failed", ""
        log.log(level, "polar %s: %s%s", what, note, advice, extra={"action": action})
        raise failed from None


def open_polar(settings: Settings) -> PolarClient:
    """Polar where a token is set; else the development checkout, which speaks the same language on the port we listen on."""
    if settings.polar_access_token is None:
        return PolarClient(f"{settings.local_url}/dev/polar", DEV_TOKEN, trust_env=False)
    return PolarClient(settings.polar_base_url, settings.polar_access_token)


def product_of(settings: Settings) -> str:
    """What is sold, by Polar's id; empty where nobody has said."""
    return settings.polar_product_id or ("" if settings.polar_access_token else DEV_PRODUCT)
