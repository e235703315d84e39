"""Why queries ran, told by the process that ran them: `GET /api/explain?function=...`, and the call that asks it.

Invariant: only those are told who hold a permit, which takes the key in the database to make; what is told names people.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schema.values import Millis
from server.auth.grants import Grants
from server.executor import Caller
from server.web.calls import error_response
from subscriptions.history import Told
from subscriptions.hub import Hub

PATH = "/api/explain"
ASK_DEADLINE_S = 5.0


class Remembered(msgspec.Struct, frozen=True):
    """What one process remembers of a function: its runs, the newest first; its answers of now, and how often they are shown."""

    process: str
    runs: tuple[Told, ...]
    answers: int
    shown: int


class NotTold(Exception):
    """No server tells; the text says which and why."""


def explain_routes(process: str, hub: Hub[Caller], grants: Grants, clock: Callable[[], Millis]) -> list[Route]:
    """The route for `python -m server explain`."""

    async def explain(request: Request) -> Response:
        path = request.query_params.get("function", "")
        scheme, _, permit = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not grants.permits_explaining(path, permit, clock()):
            return error_response(403, "Forbidden", "Only who can read the database may see why queries ran.")
        current = [each for each in hub.answers if each.question.path == path]
        shown = sum(hub.shown_to(each) for each in current)
        told = Remembered(process, tuple(hub.history.told(path)), len(current), shown)
        headers = {"Cache-Control": "no-store"}
        return Response(msgspec.json.encode(told), media_type="application/json", headers=headers)

    return [Route(PATH, explain)]


async def ask(http: httpx.AsyncClient, url: str, path: str, permit: str) -> Remembered:
    """What the server at `url` remembers of a function. Raises `NotTold`."""
    try:
        reply = await http.get(
            f"{url}{PATH}",
            params={"function": path},
            headers={"Authorization": f"Bearer {permit}"},
            timeout=ASK_DEADLINE_S,
        )
    except httpx.HTTPError:
        raise NotTold(f"No server answers at {url}. If one runs, say where: PUBLIC_URL, or HOST and PORT.") from None
    if reply.status_code == httpx.codes.FORBIDDEN:
        raise NotTold(f"The server at {url} works on another database, or its clock is off by more than a minute.")
    try:
        return msgspec.json.decode(reply.content, type=Remembered)
    except msgspec.MsgspecError:
        raise NotTold(f"What answers at {url} is not this product, or of another version.") from None
