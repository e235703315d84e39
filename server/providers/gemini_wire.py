"""One call to Gemini over the network: Google's SDK, held to our deadlines and to a size, and retrying nothing by itself.

Imported only by processes that draw: the SDK costs half a second and 50 MB.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator

import httpx2
from google import genai
from google.genai import types

GOOGLE_URL = "https://generativelanguage.googleapis.com/"
API_VERSION = "v1beta"
CONNECT_DEADLINE_S = 10.0
PHASE_DEADLINE_S = 60.0
"""For each wait on the connection: the model says nothing while it draws."""
CALL_DEADLINE_S = 90.0
"""For the whole call: a peer that sends a byte now and then keeps within every phase."""
MAX_ANSWER_BYTES = 32 * 1024**2
"""A picture and its drafts at 2048 pixels a side, in base64."""


@functools.cache
def _trust() -> ssl.SSLContext:
    """The certificates that count, read once."""
    return httpx2.create_ssl_context()


class GeminiWire:
    """A connection pool to one API, and the one request we make of it."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None = None,
        phase_deadline_s: float = PHASE_DEADLINE_S,
        call_deadline_s: float = CALL_DEADLINE_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._url = base_url or GOOGLE_URL
        self._phase_s = min(phase_deadline_s, call_deadline_s)
        self._call_s = call_deadline_s
        self._max_answer_bytes = max_answer_bytes
        self._http = httpx2.AsyncClient(
            verify=_trust(),
            headers={"accept-encoding": "identity"},
            event_hooks={"request": [self._hasten], "response": [self._cap]},
        )
        # Giving the client is also what keeps the SDK from using aiohttp, should that ever be installed.
        self._client = genai.Client(
            vertexai=False,
            api_key=api_key,
            http_options=types.HttpOptions(
                base_url=self._url,
                api_version=API_VERSION,
                timeout=round(self._phase_s * 1_000),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
                client_args={"verify": _trust()},
            ),
        )
        self._config = types.GenerateContentConfig(
            response_modalities=["IMAGE"],
            automatic_continuation=False,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

    def __repr__(self) -> str:
        return f"<GeminiWire to {self._url}>"

    async def ask(self, model: str, jpeg: bytes, words: str) -> types.GenerateContentResponse:
        """What the model answers to a photo and a prompt. Raises what SDK, network and deadline raise."""
        parts = [types.Part.from_bytes(data=jpeg, mime_type="image/jpeg"), types.Part.from_text(text=words)]
        async with asyncio.timeout(self._call_s):
            return await self._client.aio.models.generate_content(
                model=model, contents=types.Content(role="user", parts=parts), config=self._config
            )

    async def aclose(self) -> None:
        """Close every connection."""
        self._client.close()
        await self._http.aclose()

    async def _hasten(self, request: httpx2.Request) -> None:
        """Connecting takes no model, so it may take less time than the other phases."""
        connect_s = min(CONNECT_DEADLINE_S, self._phase_s)
        request.extensions["timeout"] = httpx2.Timeout(self._phase_s, connect=connect_s).as_dict()

    async def _cap(self, response: httpx2.Response) -> None:
        """Let no answer through that is larger than we would read; a compressed one could be any size, and is not asked for."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.DecodingError("The answer is compressed, though we asked for it plain.")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Capped(response.stream, self._max_answer_bytes)


class _Capped(httpx2.AsyncByteStream):
    """A body that breaks off when it grows beyond a limit."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream, self._left, self._limit = stream, limit, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx2.ReadError(f"The answer is larger than {self._limit:,} bytes.")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
