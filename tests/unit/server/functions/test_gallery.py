"""What a gallery shows: results, and originals that are still being worked on."""

from __future__ import annotations

import pytest

from schema.images import GenerationStatus, Image
from schema.values import Id
from server.functions.gallery import belongs_in_gallery


@pytest.mark.parametrize(
    ("is_generated", "status", "shown"),
    [
        (True, "completed", True),
        (True, None, True),  # results from before there was a status
        (False, "pending", True),
        (False, "processing", True),
        (False, "completed", False),
        (False, "failed", False),
        (False, None, False),
    ],
)
def test_what_is_shown(is_generated: bool, status: GenerationStatus | None, shown: bool) -> None:
    image = Image(body=Id("blob"), created_at=1.0, is_generated=is_generated, generation_status=status)
    assert belongs_in_gallery(image) is shown
