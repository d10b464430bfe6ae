"""Published keys."""

from __future__ import annotations

from pathlib import Path

from liftlock.adapters.keys.published_keys import PublishedKeys
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.web import api_provenance


def part(base: Foundation) -> Part:
    """Return the provenance service."""
    path = base.told.published_keys or str(base.directory / "published.json")
    return Part(tuple(api_provenance.routes(PublishedKeys(Path(path)))))
