"""A 12-megapixel photo from upload to stored, blurred and drawn, against Pillow's bare decode and encode of the same file.

Run it with `python -m tests.bench.pictures`. The floor is what no pipeline can do without: decode the file once and encode a
picture of the size we store, in this process; for the drawn picture the stylizer alone is added to it. The product's figures
are over HTTP and sockets, from processes of their own.
"""

from __future__ import annotations

import io
from time import perf_counter

import httpx
import pillow_heif
from PIL import Image

from server.pictures.photo import JPEG_QUALITY, MAX_STORED_SIDE_PX, inspect_photo
from server.providers.stylizer import stylize
from tests.bench.product import Product, Socket, product, run, signed_in
from tests.bench.result import Result
from tests.support import pictures

WIDTH, HEIGHT = 4_032, 3_024
ROUNDS = 5
GALLERY = {"paginationOpts": {"numItems": 12, "cursor": None}}


async def main() -> list[Result]:
    """Measure and print."""
    results: list[Result] = []
    files = {"image/jpeg": pictures.jpeg(WIDTH, HEIGHT), "image/heic": pictures.heic(WIDTH, HEIGHT)}
    print("\n12 megapixels, median of 5                    ms   ratio")
    async with product(command="dev") as running, signed_in(running, "bench") as socket:
        for content_type, photo in files.items():
            floor = middle([bare(photo) for _ in range(ROUNDS)])
            rounds = [await through(running, socket, photo, content_type) for _ in range(ROUNDS)]
            stored, drawn = (middle([times[part] for times in rounds]) for part in (0, 1))
            print(f"{content_type}: bare decode and encode (floor)  {floor:6.0f}")
            print(f"{content_type}: uploaded, stored, blurred      {stored:6.0f}  {stored / floor:5.2f}x")
            whole = floor + middle([bare_drawing(photo) for _ in range(ROUNDS)])
            print(f"{content_type}: the same, and stylised (floor) {whole:6.0f}")
            print(f"{content_type}: and drawn, live in the gallery {drawn:6.0f}  {drawn / whole:5.2f}x")
            results += [
                Result(
                    promise=f"12 megapixels of {content_type}: {what}",
                    floor=f"{least:.0f} ms: Pillow alone",
                    figure=f"{took:.0f} ms",
                    seen=took / least,
                )
                for what, took, least in (
                    ("uploaded, stored, blurred", stored, floor),
                    ("and drawn, live in the gallery", drawn, whole),
                )
            ]
    return results


def bare(photo: bytes) -> float:
    """Milliseconds for the least that must be done."""
    pillow_heif.register_heif_opener()
    began = perf_counter()
    with Image.open(io.BytesIO(photo)) as opened:
        opened.draft("RGB", (MAX_STORED_SIDE_PX, MAX_STORED_SIDE_PX))
        opened.thumbnail((MAX_STORED_SIDE_PX, MAX_STORED_SIDE_PX))
        opened.convert("RGB").save(io.BytesIO(), "JPEG", quality=JPEG_QUALITY)
    return (perf_counter() - began) * 1_000


def bare_drawing(photo: bytes) -> float:
    """Milliseconds for the stylizer alone, on the photo as it is stored; it ends with an encoded picture."""
    stored = inspect_photo(photo).content
    began = perf_counter()
    stylize(stored)
    return (perf_counter() - began) * 1_000


async def through(running: Product, socket: Socket, photo: bytes, content_type: str) -> tuple[float, float]:
    """Milliseconds until the upload is stored, and until its picture is live."""
    url = (await socket.mutate("images:generateUploadUrl", {}))["result"]
    began = perf_counter()
    async with httpx.AsyncClient(timeout=60) as http:
        reply = await http.post(url, content=photo, headers={"Content-Type": content_type})
        stored = perf_counter() - began
        storage_id = reply.raise_for_status().json()["storageId"]
    image_id = (await socket.mutate("images:uploadAndScheduleGeneration", {"storageId": storage_id}))["result"]
    await socket.watch("images:getGalleryImagesPaginated", GALLERY)
    while True:
        shown = await socket.value()
        if any(image.get("originalImageId") == image_id for image in shown["page"]):
            drawn = perf_counter() - began
            await socket.forget()
            return stored * 1_000, drawn * 1_000


def middle(times: list[float]) -> float:
    """The median."""
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    run(main())
