"""The development checkout: the payment page that `initiateCheckout` leads to, and the webhooks that its buttons send.

Invariant: what the buttons change is told to our own endpoint over HTTP, signed as Polar signs; the page never reaches around it.
The secret in the address is the permission, and a form that another site sends is refused all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from schema.values import Millis
from server.auth.signatures import signature
from server.dev.sales import DevCheckout, DevOrder, DevPolar, Sale, iso_time
from server.providers.polar_wire import API_VERSION
from server.web.origins import Origins

FOLDER = Path(__file__).resolve().parent
DELIVERY_DEADLINE_S = 10.0
ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+")
UNKNOWN = "This server does not know this checkout. It forgets them all when it restarts."


class Event(msgspec.Struct, frozen=True):
    """A webhook as Polar writes it."""

    type: str
    timestamp: str
    data: DevCheckout | DevOrder
    api_version: str = API_VERSION


class Courier:
    """Brings signed webhooks to one endpoint. The same message has the same id, however often it is sent."""

    __slots__ = ("_clock", "_http", "_key", "_url")

    def __init__(self, http: httpx.AsyncClient, url: str, secret: str, clock: Callable[[], Millis]) -> None:
        self._http, self._url, self._key, self._clock = http, url, secret.encode(errors="surrogateescape"), clock

    def __repr__(self) -> str:
        return f"<Courier to {self._url}>"

    async def tell(self, sale: Sale) -> str:
        """Send the news of a purchase. Empty when all of it was accepted, else a sentence about what was not."""
        for message_id, kind, document in news_of(sale):
            event = Event(kind, iso_time(self._clock()), document)
            answer = await self._send(message_id, msgspec.json.encode(event))
            if answer:
                return f"{kind} was sent, and the webhook endpoint {answer}."
        return ""

    async def _send(self, message_id: str, body: bytes) -> str:
        stamp = str(int(self._clock() // 1_000))
        headers = {
            "content-type": "application/json",
            "user-agent": "polar.sh webhooks",
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature(self._key, message_id, stamp, body)}",
        }
        try:
            answer = await self._http.post(self._url, content=body, headers=headers, timeout=DELIVERY_DEADLINE_S)
        except httpx.HTTPError:
            return "could not be reached"
        return "" if answer.is_success else f"answered {answer.status_code}"


def news_of(sale: Sale) -> Iterator[tuple[str, str, DevCheckout | DevOrder]]:
    """What Polar would tell about the last thing that happened: id, kind and document of each message."""
    checkout, order = sale.checkout, sale.order
    if order is not None and order.refunded_amount:
        yield f"msg_{order.id}_refunded_{order.refunded_amount}", "order.refunded", order
    elif order is not None:
        yield f"msg_{order.id}_paid", "order.paid", order
        yield f"msg_{checkout.id}_succeeded", "checkout.updated", checkout
    elif checkout.status == "expired":
        yield f"msg_{checkout.id}_expired", "checkout.expired", checkout


def checkout_routes(polar: DevPolar, courier: Courier, public_url: str) -> list[Route]:
    """The page and its buttons, below `/dev/checkout`."""
    origins = Origins((), public_url)

    async def show(request: Request) -> Response:
        sale = polar.sale(request.path_params["secret"])
        return _unknown() if sale is None else _page(sale)

    async def press(request: Request) -> Response:
        secret, action = request.path_params["secret"], request.path_params["action"]
        sale = polar.sale(secret)
        if sale is None or action not in ACTIONS:
            return _unknown()
        if not origins.admits(request.headers.get("origin"), request.headers.get("host")):
            return _page(sale, "Another site asked for this, so nothing was done. Press the button here.", 403)
        changed = ACTIONS[action](polar, secret, sale)
        if changed is None:
            return _page(sale, _why_not(sale), 410 if sale.checkout.status == "expired" else 409)
        trouble = await courier.tell(changed)
        if trouble:
            return _page(changed, f"{trouble} Have a look at the log, then send it again.", 502)
        there = changed.checkout.success_url if action == "pay" else None
        return RedirectResponse(there or f"/dev/checkout/{secret}", 303, {"Cache-Control": "no-store"})

    async def style(_: Request) -> Response:
        return FileResponse(FOLDER / "checkout.css", headers={"Cache-Control": "no-cache"})

    return [
        Route("/dev/checkout.css", style, methods=["GET"]),
        Route("/dev/checkout/{secret}", show, methods=["GET"]),
        Route("/dev/checkout/{secret}/{action}", press, methods=["POST"]),
    ]


def _pay(polar: DevPolar, secret: str, sale: Sale) -> Sale | None:
    return polar.pay(secret) if sale.checkout.status == "open" else None


def _decline(polar: DevPolar, secret: str, sale: Sale) -> Sale | None:
    return polar.expire(secret) if sale.checkout.status == "open" else None


def _refund_half(polar: DevPolar, secret: str, sale: Sale) -> Sale | None:
    return polar.refund(secret, (sale.order.net_amount + 1) // 2) if _refundable(sale) and sale.order else None


def _refund_all(polar: DevPolar, secret: str, sale: Sale) -> Sale | None:
    return polar.refund(secret, _refundable(sale)) if _refundable(sale) else None


def _send_again(_: DevPolar, __: str, sale: Sale) -> Sale | None:
    return None if sale.checkout.status == "open" else sale


ACTIONS: Mapping[str, Callable[[DevPolar, str, Sale], Sale | None]] = {
    "pay": _pay,
    "decline": _decline,
    "refund-half": _refund_half,
    "refund-all": _refund_all,
    "send-again": _send_again,
}
"""What the buttons do; nothing where there is nothing to do."""


def _refundable(sale: Sale) -> int:
    return 0 if sale.order is None else sale.order.refundable_amount


def _why_not(sale: Sale) -> str:
    if sale.checkout.status == "expired":
        return "This checkout is closed. Start another one in the app."
    if sale.checkout.status == "open":
        return "This is not paid yet."
    return "This is paid already, once, and stays so." if _refundable(sale) else "All of it went back already."


def _page(sale: Sale, notice: str = "", status: int = 200) -> Response:
    checkout, order = sale.checkout, sale.order
    state = order.status if order is not None else checkout.status
    facts = {
        "Buyer": checkout.external_customer_id or "nobody in particular",
        "Name": checkout.customer_name,
        "E-mail": checkout.customer_email,
        "Order": order and order.id,
        "Given back": order and order.refunded_amount and money(order.refunded_amount, order.currency),
    }
    stamp, sentence = STATES[state]
    values = {
        "state": state,
        "stamp": stamp,
        "title": _title(sale),
        "price": escape(money(checkout.total_amount, checkout.currency)),
        "sentence": sentence,
        "notice": f'<p class="till-notice" role="alert">{escape(notice)}</p>' if notice else "",
        "facts": "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value),
        "buttons": "".join(_buttons(sale)),
        "back": escape(_back(checkout)),
    }
    return _html(values, checkout, status)


def _buttons(sale: Sale) -> Iterator[str]:
    checkout, order = sale.checkout, sale.order
    if checkout.status == "open":
        yield _button(checkout, "pay", f"Pay {money(checkout.total_amount, checkout.currency)}", "loud")
        yield _button(checkout, "decline", "Decline", "quiet")
        return
    if order is not None and order.refundable_amount * 2 > order.net_amount:
        yield _button(checkout, "refund-half", "Refund half", "")
    if _refundable(sale):
        yield _button(
            checkout, "refund-all", "Refund the rest" if order and order.refunded_amount else "Refund all", ""
        )
    yield _button(checkout, "send-again", "Send the webhook again", "quiet")


def _button(checkout: DevCheckout, action: str, words: str, look: str) -> str:
    address = f"/dev/checkout/{escape(checkout.client_secret)}/{action}"
    press = f'<button class="button {look}" data-testid="{action}" type="submit">{escape(words)}</button>'
    return f'<form method="post" action="{address}">{press}</form>'


def _unknown() -> Response:
    values = dict.fromkeys(("stamp", "facts", "buttons", "price", "notice"), "")
    return _html({**values, "state": "unknown", "title": "No such checkout", "sentence": UNKNOWN, "back": "/"})


STATES = {
    "open": ("", "Press Pay to see what a paid order does, or Decline to see what a lapsed one does."),
    "paid": ("Paid", "The credits are in the account. Refunds take them back again, as far as they are still there."),
    "partially_refunded": ("Part back", "A part of the price, and the credits for it, went back."),
    "refunded": ("Refunded", "All of the price went back, and with it what was left of the credits."),
    "expired": ("Closed", "Nothing was taken. Start another checkout in the app."),
}
"""The stamp on the page, and what there is to say."""


def _title(sale: Sale) -> str:
    """What was asked for, as far as the metadata says it."""
    told = [sale.checkout.metadata.get(name) for name in ("packs", "creditsPerPack")]
    packs, each = (value if isinstance(value, int) and value > 0 else None for value in told)
    if each is None:
        return "Credits"
    return f"{(packs or 1) * each:,} credits".replace(",", "\u2009")


def money(cents: int, currency: str) -> str:
    """An amount for people."""
    text = f"{cents // 100}.{cents % 100:02}"
    return f"${text}" if currency.lower() == "usd" else f"{text} {currency.upper()}"


def _back(checkout: DevCheckout) -> str:
    paid = checkout.success_url if checkout.status == "succeeded" else None
    return paid or checkout.return_url or _origin(checkout.success_url) or "/"


def _origin(url: str | None) -> str:
    parts = urlsplit(url or "")
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if ORIGIN.fullmatch(origin) else ""


def _html(values: Mapping[str, str], checkout: DevCheckout | None = None, status: int = 404) -> Response:
    page = Template((FOLDER / "checkout.html").read_text(encoding="utf-8")).substitute(values)
    # Browsers hold the redirect after Pay to `form-action` as well, and it may lead to another front end.
    there = _origin(checkout.success_url) if checkout is not None else ""
    around = (_origin(checkout.embed_origin) if checkout is not None else "") or "'none'"
    policy = (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
        f"form-action 'self' {there}; frame-ancestors {around}"
    )
    # The address is a secret; yet without any referrer a browser calls its own forms' origin `null`.
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return HTMLResponse(page, status, headers)
