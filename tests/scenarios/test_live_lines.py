"""Live lines over real sockets: every form of a frame is read, and whoever stops reading is in nobody's way."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate
from websockets.extensions.permessage_deflate import PerMessageDeflate

from schema.values import ZERO, Timestamp
from server.store.codec import encode
from subscriptions.client import ClientMachine
from subscriptions.fan_out import FEW_WATCHERS
from tests.scenarios import lines_site
from tests.scenarios.lines_site import DEADLINE_S, SMALL_BUFFER_BYTES, Watcher, noise, prose, watcher, with_board
from tests.scenarios.stock import now, result_of
from tests.support.http import http_client
from tests.support.processes import line as product_line
from tests.support.processes import open_deployment
from tests.support.proxy import Proxy
from tests.support.world import World, open_world

OFFERS: dict[str, Deflate | None] = {
    "none": None,
    "bare": Deflate(),
    "as browsers do": Deflate(client_max_window_bits=True),
    "window 9": Deflate(server_max_window_bits=9),
    "window 10": Deflate(server_max_window_bits=10, client_max_window_bits=10),
    "window 12": Deflate(server_max_window_bits=12),
    "window 15": Deflate(server_max_window_bits=15, client_max_window_bits=15),
}
WINDOWS = {
    "none": None,
    "bare": 15,
    "as browsers do": 15,
    "window 9": 9,
    "window 10": 10,
    "window 12": 12,
    "window 15": 15,
}
SIZES = (200, 1_000, 5_000, 25_000, 60_000, 64_990, 65_600, 200_000)
STUCK_S = 1.0
PING_S = 1
PUSH_BYTES, PUSHES = 60_000, 40
"""More than the kernel hides: a few hundred KB, whatever is set."""
ESTABLISHED = "01"
"""As the kernel calls a connection that neither end has closed."""
BOMB_BYTES, PIECE_BYTES = 100_000_000, 1_000_000
BOMB_ROOM_KB = 64 << 10


@pytest.fixture
async def site(mongod_uri: str) -> AsyncIterator[World]:
    """A product with a board, and nobody there yet."""
    async with open_world(mongod_uri, registry=with_board(lines_site)) as opened:
        yield opened


async def crowd(stack: AsyncExitStack, site: World, count: int) -> list[Watcher]:
    return [await stack.enter_async_context(watcher(site.url)) for _ in range(count)]


async def alone(site: World, count: int) -> None:
    """Wait until only so many sockets are left."""
    endpoint = site.runtime.readings.endpoint
    assert endpoint is not None
    async with asyncio.timeout(DEADLINE_S):
        while len(endpoint) > count:  # noqa: ASYNC110  # the endpoint has no event for it, and needs none
            await asyncio.sleep(0.02)


def small_socket(site: World) -> socket.socket:
    """A connected one in whose buffer little can hide."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    end.connect(("127.0.0.1", site.settings.port))
    end.setblocking(False)
    return end


async def test_every_client_reads_every_frame(site: World) -> None:
    async with AsyncExitStack() as stack:
        people: list[Watcher] = []
        for name, offer in OFFERS.items():
            for _ in range(2):
                one = await stack.enter_async_context(watcher(site.url, deflate=offer))
                (agreed,) = one.line.protocol.extensions or (None,)
                assert agreed is None or isinstance(agreed, PerMessageDeflate)
                assert (None if agreed is None else agreed.remote_max_window_bits) == WINDOWS[name]
                assert agreed is None or (agreed.remote_no_context_takeover and agreed.local_no_context_takeover)
                people.append(one)
        assert len(people) > FEW_WATCHERS
        for number, size in enumerate(SIZES * 2):
            text, author = prose(size, number), people[number % len(people)]
            await author.pin(text)  # compressed upstream by whoever agreed on that
            assert author.shown == text
            await asyncio.gather(*(each.shows(text) for each in people))
            await asyncio.gather(*(_ping(each) for each in people))
        for each in people:
            await each.line.close()
            assert each.line.close_code == 1000


async def _ping(one: Watcher) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await (await one.line.ping(b"still there?"))


async def test_a_window_that_nobody_can_keep_means_no_compression(site: World) -> None:
    """zlib makes no raw stream of window 8, though RFC 7692 knows it."""
    offer = Deflate(server_max_window_bits=8)
    async with watcher(site.url, deflate=offer) as one:
        assert not one.line.protocol.extensions
        await one.pin(prose(5_000))
        assert one.shown == prose(5_000)


async def test_who_stops_reading_is_cut_and_in_nobodys_way(site: World) -> None:
    assert site.runtime.readings.endpoint is not None
    site.runtime.readings.endpoint.stuck_s = STUCK_S
    async with AsyncExitStack() as stack:
        readers = await crowd(stack, site, FEW_WATCHERS + 2)
        for _ in range(3):
            stopped = await stack.enter_async_context(watcher(site.url, sock=small_socket(site), ping_interval=None))
            stopped.stop_reading()
        for number in range(PUSHES):
            text = noise(PUSH_BYTES, number)
            await readers[0].pin(text)
            await asyncio.gather(*(each.shows(text) for each in readers))
        await alone(site, len(readers))
        await readers[1].pin("still here")
        await asyncio.gather(*(each.shows("still here") for each in readers))


async def test_who_reads_again_gets_the_newest_and_not_all_in_between(site: World) -> None:
    async with AsyncExitStack() as stack:
        readers = await crowd(stack, site, FEW_WATCHERS + 2)
        pausing = await stack.enter_async_context(watcher(site.url, sock=small_socket(site), ping_interval=None))
        before = pausing.pushes
        pausing.stop_reading()
        for number in range(PUSHES):
            await readers[0].pin(noise(PUSH_BYTES, number))
        pausing.read_on()
        await pausing.shows(noise(PUSH_BYTES, PUSHES - 1))
        assert pausing.pushes - before < PUSHES / 2, "what was overtaken has piled up somewhere"
        assert readers[0].pushes >= PUSHES
        await readers[0].pin("and on it goes")
        await pausing.shows("and on it goes")


def masked(first: int, payload: bytes) -> bytes:
    """A client's frame, with a mask of zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + struct.pack(">Q", size)
    return bytes([first]) + length + bytes(4) + payload


async def test_who_says_good_bye_and_reads_no_further_does_not_stay(site: World) -> None:
    """Its line is full, so a close waits for ever; only cutting ends it."""
    async with AsyncExitStack() as stack:
        readers = await crowd(stack, site, FEW_WATCHERS + 2)
        end = small_socket(site)
        stopped = await stack.enter_async_context(watcher(site.url, sock=end, ping_interval=None))
        stopped.stop_reading()
        for number in range(PUSHES):
            await readers[0].pin(noise(PUSH_BYTES, number))
        stopped.line.transport.write(masked(0x88, struct.pack(">H", 1000)))
        await alone(site, len(readers))
        async with asyncio.timeout(DEADLINE_S):
            while is_held(site.settings.port, end.getsockname()[1]):  # noqa: ASYNC110  # the kernel tells nobody
                await asyncio.sleep(0.02)


def is_held(server_port: int, client_port: int) -> bool:
    """Has the server's end of this connection not been closed?"""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = {(int(row[1].split(":")[1], 16), int(row[2].split(":")[1], 16)): row[3] for row in rows}
    return ends.get((server_port, client_port)) == ESTABLISHED


async def test_a_bomb_is_refused_before_it_goes_off(site: World) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    pieces = [packer.compress(bytes(PIECE_BYTES)) for _ in range(BOMB_BYTES // PIECE_BYTES)]
    bomb = b"".join([*pieces, packer.flush(zlib.Z_SYNC_FLUSH)])[:-4]
    async with watcher(site.url) as witness, watcher(site.url, deflate=Deflate()) as attacker:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        attacker.line.transport.write(masked(0xC1, bomb))
        with pytest.raises(ConnectionClosed) as closed:
            await attacker.until(lambda: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < BOMB_ROOM_KB
        await witness.pin("all is well")
        assert witness.shown == "all is well"


async def test_a_peer_that_has_vanished_is_noticed(mongod_uri: str) -> None:
    """Nothing comes back: it answers no ping."""
    async with (
        open_world(mongod_uri, registry=with_board(lines_site), SOCKET_PING_S=str(PING_S)) as site,
        Proxy(site.settings.port) as proxy,
        watcher(site.url) as present,
    ):
        async with watcher(proxy.url, ping_interval=None):
            proxy.hold()
            reading = asyncio.create_task(present.until(lambda: present.shown == "still here"))
            await alone(site, 1)
        async with watcher(site.url) as author:
            await author.pin("still here")
            await reading


# --- the end of a process ----------------------------------------------------------------------------------------------


def _picture(number: int) -> dict[str, Any]:
    image = result_of("ana", now(), is_featured=True, featured_at=float(number + 1))
    return {**encode(image), "_id": f"picture-{number}", "_creationTime": image.created_at}


def _is_past(machine: ClientMachine, ts: Timestamp) -> bool:
    return machine.version.ts > ts


async def test_a_server_with_stopped_readers_ends(mongod_uri: str, tmp_path: Path) -> None:
    async with http_client() as http, open_deployment(mongod_uri, tmp_path, http) as deployment:
        images = deployment.database["images"]
        await images.insert_one(_picture(0))
        server, url = await deployment.web()
        async with AsyncExitStack() as stack:
            people = []
            for number in range(FEW_WATCHERS + 4):
                machine = ClientMachine(uuid4())
                machine.subscribe("images:getPublicGallery", {"paginationOpts": {"numItems": 9, "cursor": None}})
                open_line = await stack.enter_async_context(product_line(url, machine))
                await open_line.until(partial(_is_past, machine, ZERO))
                people.append(open_line)
                if number < 4:
                    open_line.socket.transport.pause_reading()
            reader = people[-1]
            for number in range(PUSHES):
                before = reader.machine.version.ts
                blur = "data:image/webp;base64," + noise(3 * PUSH_BYTES, number)
                await images.update_one({"_id": "picture-0"}, {"$set": {"placeholderBlurDataUrl": blur}})
                await reader.until(partial(_is_past, reader.machine, before))
            people[0].socket.transport.write(masked(0x88, struct.pack(">H", 1000)))
            await (await reader.socket.ping())  # by now the server has read it
            os.kill(server.pid, signal.SIGTERM)
            assert await server.ended() == 0, server.said
            for each in people:
                each.socket.transport.abort()
        assert "Traceback" not in server.said
