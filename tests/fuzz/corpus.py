"""Good messages, as real clients and providers send them: what hostile ones are made of."""

from __future__ import annotations

import json

from tests.support import pictures

SESSION = "a95282ec-bd91-423d-ae26-1ce77e791816"
STORAGE_ID = "0123456789abcdefghjkmnpqrstvwxyz"
PAGE = {"paginationOpts": {"numItems": 100, "cursor": None}}


def _texts(*messages: dict[str, object]) -> tuple[bytes, ...]:
    return tuple(json.dumps(each).encode() for each in messages)


def _added(query_id: int, path: str, args: object) -> dict[str, object]:
    return {"type": "Add", "queryId": query_id, "udfPath": path, "args": [args], "journal": None}


def _edit(base: int, new: int, *edits: object) -> dict[str, object]:
    return {"type": "ModifyQuerySet", "baseVersion": base, "newVersion": new, "modifications": list(edits)}


HELLO: dict[str, object] = {
    "type": "Connect", "sessionId": SESSION, "connectionCount": 0, "lastCloseReason": "InitialConnect",
    "maxObservedTimestamp": "AQAAAAAAAAA=", "clientTs": 1_764_000_000_000,
}  # fmt: skip

CONVERSATION = _texts(
    HELLO,
    _edit(0, 1, _added(0, "images:getPublicGallery", PAGE)),
    _edit(1, 2, _added(1, "users.js:getCurrentUserCredits", {}), {"type": "Remove", "queryId": 0}),
    {"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": "a.b.c"},
    {"type": "Authenticate", "baseVersion": 1, "tokenType": "None"},
    {"type": "Mutation", "requestId": 0, "udfPath": "users:ensureUser", "args": [{}]},
    {
        "type": "Mutation",
        "requestId": 1,
        "udfPath": "images:updateShareSettings",
        "args": [{"imageId": "x", "sharingEnabled": True, "expirationHours": 0.5}],
    },
    {"type": "Action", "requestId": 2, "udfPath": "payments:nothing", "args": [{"a": [1.5, None]}]},
    {"type": "Event", "eventType": "ClientConnect", "event": {"marks": [{"name": "x", "startTime": 1.0}]}},
)

"""In an order in which one socket may say all of it."""

CALLS = _texts(
    {"path": "users:getCurrentUserCredits", "args": {}, "format": "json"},
    {"path": "images.js:getPublicGallery", "args": [PAGE], "format": "convex_encoded_json"},
    {
        "path": "images:getGalleryImagesPaginated",
        "args": {"paginationOpts": {"numItems": 3, "cursor": None, "endCursor": None, "id": 7}},
        "format": "json",
    },
    {"path": "images:getImageById", "args": {"imageId": "0123456789abcdefghjkmnpqrs"}},
    {"path": "users:getCreditHistory", "args": PAGE, "ts": "AQAAAAAAAAA="},
    {
        "path": "images:uploadAndScheduleGeneration",
        "args": {"storageId": STORAGE_ID, "originalWidth": 640, "originalHeight": 480, "contentType": "image/jpeg"},
    },
    {"path": "images:updateShareSettings", "args": {"imageId": "x", "sharingEnabled": True, "expirationHours": 1}},
    {"path": "images:deleteImage", "args": {"imageId": "x", "includeGenerated": True}},
    {"path": "users:ensureUser", "args": {}},
)

_UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_CALL = CALLS[0]

LINES = (
    b"GET /healthz HTTP/1.1\r\nHost: town\r\nUser-Agent: x\r\n\r\n",
    b"GET /api/storage/" + STORAGE_ID.encode() + b"?key=x HTTP/1.1\r\nHost: town\r\nRange: bytes=0-9\r\n\r\n",
    b"POST /api/query HTTP/1.1\r\nHost: town\r\nContent-Length: %d\r\n\r\n%s" % (len(_CALL), _CALL),
    b"POST /api/mutation HTTP/1.1\r\nHost: town\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /api/query_ts HTTP/1.1\r\nHost: town\r\nAuthorization: Bearer a.b.c\r\nContent-Length: 0\r\n\r\n",
    b"POST /api/storage/upload?token=x HTTP/1.1\r\nHost: town\r\nDigest: sha-256=AAAA\r\nContent-Length: 3\r\n\r\nabc",
    b"OPTIONS /api/query HTTP/1.1\r\nHost: town\r\nOrigin: http://a.b\r\nAccess-Control-Request-Method: POST\r\n\r\n",
    b"GET /assets/app.js HTTP/1.1\r\nHost: town\r\nIf-None-Match: \"x\"\r\n\r\n",
    b"POST /webhooks/polar HTTP/1.1\r\nHost: town\r\nwebhook-id: 1\r\nwebhook-timestamp: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /api/1.48.0/sync HTTP/1.1\r\nHost: town\r\n" + _UPGRADE + b"\r\n",
    b"GET /api/sync HTTP/1.1\r\nHost: town\r\nOrigin: http://a.b\r\nconvex-client: npm-1.48.0\r\n" + _UPGRADE + b"\r\n",
)  # fmt: skip

PHOTOS = (
    pictures.jpeg(orientation=6, gps=True),
    pictures.png(),
    pictures.png(mode="P", gps=True),
    pictures.webp(alpha=True),
    pictures.webp(animated=True),
    pictures.heic(64, 64, orientation=6, gps=True),
    pictures.avif(64, 64),
)
