"""Whose signatures count, as the operator publishes it."""

from __future__ import annotations

from typing import Protocol

from liftlock.domain.provenance.producers import Trust
from liftlock.domain.provenance.published import Published


class TrustedKeys(Protocol):
    """The published keys of pools, and which are revoked."""

    def current(self) -> Trust:
        """Return what counts now; StorageError if it can't be read."""
        ...

    def published(self) -> Published:
        """Return all that is published; StorageError if it can't be read."""
        ...
