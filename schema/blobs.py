"""Stored files: what we know of each. The bytes are in GridFS, in a database of their own."""

from __future__ import annotations

from typing import Literal, TypeAlias

from schema.document import NEW, Document, index, table
from schema.values import Id, Millis

BlobKind: TypeAlias = Literal["upload", "result"]


@table("_storage")
class Blob(Document, frozen=True, kw_only=True):
    """A file that is whole and was measured by us. Its id is unguessable and is the capability to read it.

    An upload belongs to its uploader and is claimed once; without this row the file is not served. After `public_until` it is
    served only to who holds its key, which its owner's queries hand out.
    """

    id: Id[Blob] = NEW
    kind: BlobKind
    owner: str
    content_type: str
    size: int
    sha256: str
    width: int
    height: int
    placeholder: str
    uploaded_size: int
    uploaded_content_type: str
    created_at: Millis
    claimed_at: Millis | None = None
    grant: str | None = None
    public_until: Millis | None = None

    by_grant = index("grant", unique_when=("kind", "upload"))
    by_owner = index("owner", "claimed_at")
    by_claimed = index("kind", "claimed_at", "created_at")
