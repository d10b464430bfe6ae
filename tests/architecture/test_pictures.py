"""Pictures in the docs are there, are small, and each is shown somewhere."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs/images"
MAX_BYTES = 150_000
_PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+\.png)\)")


def shown() -> set[Path]:
    """Return every picture that a page shows."""
    return {
        (page.parent / link).resolve()
        for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
        for _, link in _PICTURE.findall(page.read_text(encoding="utf-8"))
    }


def test_every_picture_is_there_and_shown() -> None:
    there = set(IMAGES.glob("*.png"))
    assert there == shown()
    assert (IMAGES / "task-graph.png") in there


def test_pictures_are_pictures_and_small() -> None:
    for file in IMAGES.glob("*.png"):
        assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n"), file
        assert file.stat().st_size <= MAX_BYTES, file
