"""Until when strangers may read an image's file: the file's row says it, so that serving a file asks for nothing else.

Invariant: the row agrees with its image at every commit, because whatever changes the image's visibility calls this.
"""

from __future__ import annotations

from schema.blobs import Blob
from schema.images import Image
from schema.values import Millis
from schema.writer import Writer

NEVER: Millis = 0.0
"""A moment that is always past."""


async def restrict_file(db: Writer, image: Image) -> None:
    """Let the file's row follow its image: hidden at once, at the moment sharing ends, or not at all."""
    blob = await db.get(Blob, image.body)
    if blob is None:
        return
    await db.patch(blob, public_until=public_until(image))


def public_until(image: Image) -> Millis | None:
    """The moment at which strangers lose the file; None is never."""
    if image.is_disabled_by_admin:
        return NEVER
    if image.is_featured:
        return None
    return NEVER if image.sharing_enabled is False else image.share_expires_at
