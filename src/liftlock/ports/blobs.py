"""Bytes by their sha256: create-only, the same bytes stored once, verified when read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from liftlock.domain.tasks.artifacts import Content, Encoding


class BlobWriter(Protocol):
    """Takes one blob's bytes in order and measures them."""

    async def write(self, chunk: bytes) -> None:
        """Take `chunk`.

        Raises:
            TooLargeError: more bytes than allowed, stored or uncompressed.
            InputInvalidError: the bytes are not of the encoding that was said.
        """
        ...

    async def finish(self) -> Content:
        """Make the blob durable, and return what was measured; nothing exists before.

        Raises:
            InputInvalidError: the compressed bytes end early, or go on after their end.
        """
        ...


class Blobs(Protocol):
    """The store of bytes. Digests are lower-case hexadecimal sha256 of the stored bytes."""

    def writer(self, encoding: Encoding, *, max_bytes: int) -> AbstractAsyncContextManager[BlobWriter]:
        """Return a writer; leaving its block without `finish` leaves nothing behind."""
        ...

    async def size(self, digest: str) -> int | None:
        """Return how many bytes the blob has, or None if there is none."""
        ...

    def read(self, digest: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield bytes `start` up to `stop` (to the end by default) of the blob.

        The last chunk comes only after all of the blob verified: who got all of it got the right bytes.

        Raises:
            StorageError: there is no such blob, or what is stored does not have this digest.
        """
        ...

    async def remove(self, digest: str, *, unused_since: datetime) -> bool:
        """Remove the blob unless it was stored (again) after `unused_since`; tell whether it is gone."""
        ...
