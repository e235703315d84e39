"""The story of a stored file: served whole, in part or not again, to many at once, and to nobody once it is deleted."""

from __future__ import annotations

import asyncio
import base64
import os
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest

from schema.errors import NotFound
from schema.values import Id
from server.ids import capability_id
from server.store.gridfs import CHUNK_BYTES, BlobExists, BlobMissing
from server.web import downloads
from tests.scenarios.files_site import Site, opened
from tests.support import pictures

MANY_CHUNKS = 16 * 1024**2
"""More than sockets buffer, so that the server is still sending while the reader looks at the first bytes."""
MORE_THAN_DRIVER_BUFFERS = 64 * 1024**2


@pytest.fixture(scope="module")
async def shared_site(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with opened(mongod_uri, tmp_path_factory.mktemp("uploads")) as site:
        yield site


@pytest.fixture
async def site(shared_site: Site) -> Site:
    await shared_site.clear()
    return shared_site


async def test_a_file_is_served_whole_and_in_a_way_that_runs_nothing(site: Site) -> None:
    path = await site.stored(pictures.png())
    row = await site.row(path)

    served = await site.http.get(path)

    assert served.status_code == 200
    assert len(served.content) == row.size
    expected = {
        "content-type": "image/png",
        "content-length": str(row.size),
        "content-disposition": f'inline; filename="{row.id}.png"',
        "etag": f'"{row.sha256}"',
        "digest": "sha-256=" + base64.b64encode(bytes.fromhex(row.sha256)).decode(),
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=3600",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "cross-origin",
    }
    assert {name: served.headers.get(name) for name in expected} == expected
    assert "transfer-encoding" not in served.headers


async def test_the_head_alone_says_the_same(site: Site) -> None:
    path = await site.stored(pictures.jpeg())
    whole, head = await site.http.get(path), await site.http.head(path, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.content) == (200, b"")
    for headers in (whole.headers, head.headers):
        headers.pop("date", None)
    assert head.headers == whole.headers


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        (f"bytes={CHUNK_BYTES - 1}-{CHUNK_BYTES}", slice(CHUNK_BYTES - 1, CHUNK_BYTES + 1)),
        (f"bytes={2 * CHUNK_BYTES}-", slice(2 * CHUNK_BYTES, None)),
        (f"bytes=10-{3 * CHUNK_BYTES}", slice(10, 3 * CHUNK_BYTES + 1)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-999999999", slice(5, None)),
    ],
)
async def test_a_part_is_the_slice_of_the_whole(site: Site, asked: str, part: slice) -> None:
    content = os.urandom(3 * CHUNK_BYTES + 123)
    blob = await site.keep(content)

    served = await site.http.get(f"/api/storage/{blob.id}", headers={"Range": asked})

    start, stop, _ = part.indices(len(content))
    assert served.status_code == 206
    assert served.content == content[part]
    assert served.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(content)}"
    assert served.headers["content-length"] == str(stop - start)
    assert "digest" not in served.headers


async def test_a_part_that_cannot_be_had(site: Site) -> None:
    path = await site.stored(pictures.jpeg())
    size = (await site.row(path)).size
    for asked in (f"bytes={size}-", "bytes=-0", "bytes=0-1,5-9"):
        refused = await site.http.get(path, headers={"Range": asked})
        assert (refused.status_code, refused.json()["code"]) == (416, "RangeNotSatisfiable")
        assert refused.headers["content-range"] == f"bytes */{size}"


async def test_a_part_of_another_content_is_the_whole_of_this_one(site: Site) -> None:
    path = await site.stored(pictures.jpeg())
    etag = (await site.http.head(path)).headers["etag"]
    same = await site.http.get(path, headers={"Range": "bytes=0-9", "If-Range": etag})
    other = await site.http.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert [same.status_code, other.status_code] == [206, 200]


async def test_who_has_it_already_gets_no_bytes(site: Site) -> None:
    path = await site.stored(pictures.jpeg())
    etag = (await site.http.head(path)).headers["etag"]
    for method in ("GET", "HEAD"):
        again = await site.http.request(method, path, headers={"If-None-Match": f'"x", {etag}', "Range": "bytes=0-9"})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert "content-length" not in again.headers
    assert (await site.http.get(path, headers={"If-None-Match": '"x"'})).status_code == 200


async def test_an_id_that_is_none_and_one_that_names_nothing(site: Site) -> None:
    for storage_id, status, code in (
        ("upload", 400, "InvalidStoragePath"),
        ("%00", 400, "InvalidStoragePath"),
        ("A" * 32, 400, "InvalidStoragePath"),
        (capability_id() + "0", 400, "InvalidStoragePath"),
        (capability_id(), 404, "FileNotFound"),
    ):
        refused = await site.http.get(f"/api/storage/{storage_id}")
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert refused.headers["cache-control"] == "no-store"
        assert (await site.http.head(f"/api/storage/{storage_id}")).status_code == status


async def test_many_read_at_once(site: Site) -> None:
    content = os.urandom(4 * CHUNK_BYTES)
    blob = await site.keep(content)
    served = await asyncio.gather(*(site.http.get(f"/api/storage/{blob.id}") for _ in range(20)))
    assert all(each.content == content for each in served)


async def test_a_deleted_file_is_gone_at_once(site: Site) -> None:
    path = await site.stored(pictures.jpeg())
    row = await site.row(path)
    assert (await site.http.get(path)).status_code == 200

    await site.database.transact(lambda writer: writer.delete(row))

    assert (await site.http.get(path)).status_code == 404
    assert (await site.http.head(path)).status_code == 404
    with pytest.raises(NotFound):
        await site.row(path)


async def test_a_row_whose_content_is_gone_is_a_404_too(site: Site) -> None:
    blob = await site.keep(b"content")
    await site.vault.delete(blob.id)
    gone = await site.http.get(f"/api/storage/{blob.id}")
    assert (gone.status_code, gone.json()["code"]) == (404, "FileNotFound")


async def test_a_file_deleted_while_it_is_read_ends_early(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    blob = await site.keep(os.urandom(MANY_CHUNKS))
    async with site.http.stream("GET", f"/api/storage/{blob.id}") as served:
        pieces = served.aiter_raw()
        assert await anext(pieces)
        await site.vault.delete(blob.id)
        with pytest.raises(httpx.RemoteProtocolError):
            await _read_on(pieces)
    await asyncio.wait_for(site.idle.wait(), 10)
    assert not any(record.exc_info for record in caplog.records)


async def test_a_reader_who_leaves_ends_the_reading(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    blob = await site.keep(os.urandom(MANY_CHUNKS))
    async with site.line(f"GET /api/storage/{blob.id} HTTP/1.1") as (reader, _):
        assert await reader.readexactly(9) == b"HTTP/1.1 "
    await asyncio.wait_for(site.idle.wait(), 10)
    assert not any(record.exc_info for record in caplog.records)


async def test_who_stops_reading_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "SEND_DEADLINE_S", 0.2)
    blob = await site.keep(os.urandom(MANY_CHUNKS))
    async with site.line(f"GET /api/storage/{blob.id} HTTP/1.1") as (reader, _):
        assert await reader.readexactly(9) == b"HTTP/1.1 "
        await asyncio.wait_for(site.idle.wait(), 10)


async def test_a_file_is_never_whole_in_memory(site: Site) -> None:
    blob = await site.keep(os.urandom(MANY_CHUNKS))
    tracemalloc.start()
    try:
        async with site.http.stream("GET", f"/api/storage/{blob.id}") as served:
            received = sum([len(piece) async for piece in served.aiter_raw()])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received == MANY_CHUNKS
    assert peak < MANY_CHUNKS / 3


async def test_the_vault_keeps_what_is_whole_and_nothing_else(site: Site) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(MORE_THAN_DRIVER_BUFFERS // MANY_CHUNKS):
            yield bytes(MANY_CHUNKS)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await site.vault.put("broken", broken(), "image/png")
    assert await site.left() == (0, 0, 0, 0)

    blob = await site.keep(b"first")
    with pytest.raises(BlobExists):
        await site.vault.put(blob.id, b"second", "image/png")
    assert b"".join([piece async for piece in site.vault.read(blob.id)]) == b"first"

    await site.vault.delete(blob.id)
    await site.vault.delete(blob.id)
    with pytest.raises(BlobMissing):
        await anext(site.vault.read(Id(blob.id)))


async def _read_on(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass
