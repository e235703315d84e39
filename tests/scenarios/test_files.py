"""The story of an upload: one photo for one grant, made safe and kept, or refused in words and without a trace."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from PIL import Image

from server.auth.grants import Grants
from server.web import incoming
from server.web.slots import Slots
from tests.scenarios.files_site import MAX_UPLOAD_BYTES, Site, answer_on, opened
from tests.support import pictures

NOTHING = (0, 0, 0, 0)
ONE = (1, 1, 1, 0)

FORMATS: dict[str, tuple[Callable[..., bytes], str]] = {
    "image/jpeg": (pictures.jpeg, "image/jpeg"),
    "image/png": (pictures.png, "image/png"),
    "image/webp": (pictures.webp, "image/webp"),
    "image/heic": (pictures.heic, "image/jpeg"),
    "image/avif": (pictures.avif, "image/jpeg"),
}

UNUSABLE = {
    "a web page": pictures.not_a_picture(),
    "a GIF": pictures.gif(),
    "damaged": pictures.truncated(pictures.jpeg()),
    "too large": pictures.bomb(),
    "too small": pictures.png(4, 4),
    "empty": b"",
    "not a photo we can read": b"\xff\xd8",
}


@pytest.fixture(scope="module")
async def shared_site(mongod_uri: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with opened(mongod_uri, tmp_path_factory.mktemp("uploads")) as site:
        yield site


@pytest.fixture
async def site(shared_site: Site) -> Site:
    await shared_site.clear()
    return shared_site


@pytest.mark.parametrize("uploaded_as", FORMATS)
async def test_every_format_is_taken_and_measured(site: Site, uploaded_as: str) -> None:
    make, stored_as = FORMATS[uploaded_as]
    photo = make(96, 64)
    path = await site.stored(photo)

    served = await site.http.get(path)
    assert served.headers["content-type"] == stored_as
    assert Image.open(io.BytesIO(served.content)).size == (96, 64)
    row = await site.row(path)
    assert (row.kind, row.owner, row.claimed_at) == ("upload", "ana", None)
    assert (row.width, row.height, row.size) == (96, 64, len(served.content))
    assert row.sha256 == hashlib.sha256(served.content).hexdigest()
    assert (row.uploaded_content_type, row.uploaded_size) == (uploaded_as, len(photo))
    assert row.placeholder.startswith("data:image/webp;base64,")
    assert await site.left() == ONE


@pytest.mark.parametrize("make", [pictures.jpeg, pictures.png, pictures.webp, pictures.heic, pictures.avif])
async def test_where_a_photo_was_taken_is_not_served(site: Site, make: Callable[..., bytes]) -> None:
    photo = make(96, 64, gps=True)
    assert pictures.MAKER.encode() in photo

    served = (await site.http.get(await site.stored(photo))).content

    assert pictures.MAKER.encode() not in served
    assert pictures.COMMENT not in served
    assert not Image.open(io.BytesIO(served)).getexif()


async def test_a_grant_is_good_for_one_photo(site: Site) -> None:
    path = site.upload_path()
    assert (await site.upload(pictures.jpeg(), path)).status_code == 200

    async with site.line(f"POST {path} HTTP/1.1\r\nContent-Length: 1000000") as (reader, _):
        status, refusal = await answer_on(reader)

    assert (status, refusal["code"]) == (409, "StorageTokenUsed")
    assert await site.left() == ONE


async def test_of_two_at_once_the_loser_leaves_nothing(site: Site) -> None:
    path = site.upload_path()
    answers = await asyncio.gather(*(site.upload(pictures.jpeg(), path) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert await site.left() == ONE


async def test_a_grant_that_is_not_ours_or_is_over(site: Site) -> None:
    stranger = Grants(b"s" * 32).upload_token("ana", site.now, "nonce")
    late = site.upload_path()
    site.now += 3_600_000.0
    for path, code in (
        ("/api/storage/upload", "InvalidStorageToken"),
        ("/api/storage/upload?token=", "InvalidStorageToken"),
        (f"/api/storage/upload?token={stranger}", "InvalidStorageToken"),
        (f"{site.upload_path()[:-2]}xx", "InvalidStorageToken"),
        (late, "StorageTokenExpired"),
    ):
        answer = await site.upload(pictures.jpeg(), path)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.json()["message"].endswith("Please start the upload again.")
    assert await site.left() == NOTHING


@pytest.mark.parametrize("fault", UNUSABLE)
async def test_what_is_no_usable_photo_is_refused_and_the_grant_stays_good(site: Site, fault: str) -> None:
    path = site.upload_path()

    answer = await site.upload(UNUSABLE[fault], path, **{"Content-Type": "image/jpeg"})

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION")
    assert fault in answer.json()["message"]
    assert await site.left() == NOTHING
    assert (await site.upload(pictures.jpeg(), path)).status_code == 200


async def test_the_claimed_type_means_nothing(site: Site) -> None:
    answer = await site.upload(pictures.jpeg(), **{"Content-Type": "text/html"})
    served = await site.http.get(f"/api/storage/{answer.json()['storageId']}")
    assert served.headers["content-type"] == "image/jpeg"


async def test_the_digest_is_verified_when_there_is_one(site: Site) -> None:
    photo, path = pictures.jpeg(), site.upload_path()
    right = base64.b64encode(hashlib.sha256(photo).digest()).decode()
    wrong = base64.b64encode(bytes(32)).decode()
    for digest in (f"sha-256={wrong}", "sha-256=?", "sha-256="):
        answer = await site.upload(photo, path, Digest=digest)
        assert (answer.status_code, answer.json()["code"]) == (400, "Sha256Mismatch")
    assert await site.left() == NOTHING
    assert (await site.upload(photo, path, Digest=f"unixsum=1,SHA-256={right}")).status_code == 200


async def test_a_declared_size_beyond_the_limit_is_refused_unread(site: Site) -> None:
    head = f"POST {site.upload_path()} HTTP/1.1\r\nContent-Length: {MAX_UPLOAD_BYTES + 1}"
    async with site.line(head) as (reader, _):
        status, refusal = await answer_on(reader)
        assert (status, refusal["code"]) == (413, "FileTooLarge")
        assert refusal["message"] == "This file is too large; the limit is 20 MB."
    async with site.line(f"{head}\r\nExpect: 100-continue") as (reader, _):
        assert (await answer_on(reader))[0] == 413
    assert await site.left() == NOTHING


async def test_a_body_that_grows_beyond_the_limit_is_refused_while_it_comes(site: Site) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield pictures.jpeg()
        for _ in range(MAX_UPLOAD_BYTES // 65_536 + 16):
            yield bytes(65_536)

    answer = await site.http.post(site.upload_path(), content=endless())

    assert (answer.status_code, answer.json()["code"]) == (413, "FileTooLarge")
    assert await site.left() == NOTHING


async def test_a_file_of_another_kind_is_refused_by_its_first_bytes(site: Site) -> None:
    head = f"POST {site.upload_path()} HTTP/1.1\r\nContent-Length: 1000000"
    async with site.line(head) as (reader, writer):
        writer.write(pictures.not_a_picture())
        status, refusal = await answer_on(reader)
        assert (status, refusal["code"]) == (400, "VALIDATION")
        # Whoever goes on sending is not cut off at once, so that the answer is not lost on the way.
        writer.write(bytes(1_000_000 - len(pictures.not_a_picture())))
        await writer.drain()
        assert await reader.read() == b""


async def test_who_leaves_in_the_middle_leaves_nothing(site: Site) -> None:
    async with site.line(f"POST {site.upload_path()} HTTP/1.1\r\nContent-Length: 1000000") as (_, writer):
        writer.write(pictures.jpeg(640, 480))
        await site.arrived.wait()
        assert len(site.parts()) == 1
    await asyncio.wait_for(site.idle.wait(), 10)
    assert await site.left() == NOTHING


async def test_who_falls_silent_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "IDLE_S", 0.2)
    async with site.line(f"POST {site.upload_path()} HTTP/1.1\r\nContent-Length: 1000000") as (reader, writer):
        writer.write(pictures.jpeg())
        status, refusal = await answer_on(reader)
        assert (status, refusal["code"]) == (408, "UploadTimeout")
    assert await site.left() == NOTHING


async def test_there_is_room_for_so_many_at_once(mongod_uri: str, tmp_path: Path) -> None:
    async with opened(mongod_uri, tmp_path, Slots(total=2, each=1, wait_s=0.2)) as site:
        begun = f"POST {site.upload_path('ana')} HTTP/1.1\r\nContent-Length: 1000000"
        async with site.line(begun) as (_, writer):
            writer.write(pictures.jpeg())
            await site.arrived.wait()
            answer = await site.upload(pictures.jpeg(), site.upload_path("ana"))
            assert (answer.status_code, answer.json()["code"]) == (503, "Overloaded")
            assert int(answer.headers["retry-after"]) > 0
            assert (await site.upload(pictures.jpeg(), site.upload_path("ben"))).status_code == 200
        await asyncio.wait_for(site.idle.wait(), 10)
        assert (await site.upload(pictures.jpeg(), site.upload_path("ana"))).status_code == 200


async def test_a_lab_without_room_is_no_fault_of_the_photo(mongod_uri: str, tmp_path: Path) -> None:
    async with opened(mongod_uri, tmp_path) as site:
        await site.lab.close()
        answer = await site.upload(pictures.jpeg())
        assert (answer.status_code, answer.json()["code"]) == (503, "Overloaded")
        assert "retry-after" in answer.headers
        assert await site.left() == NOTHING


async def test_an_upload_is_never_whole_in_memory(site: Site) -> None:
    async def padded() -> AsyncIterator[bytes]:
        yield photo
        for _ in range((MAX_UPLOAD_BYTES - len(photo)) // 65_536):
            yield padding

    photo, padding = pictures.jpeg(), bytes(65_536)
    await site.stored(photo)
    tracemalloc.start()
    try:
        answer = await site.http.post(site.upload_path(), content=padded())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 200
    assert peak < MAX_UPLOAD_BYTES / 3
