"""Where a worker keeps the bytes of inputs: blobs by their sha256, trees by what they were made of; and its wheelhouse.

Bytes become usable only as entries that were measured while they were written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from liftlock.errors import LiftlockError


class InputRejectedError(LiftlockError):
    """Bytes are not what was promised, or too many: the message names declared and measured. Nothing was kept."""

    code = "InputRejected"


class StoreDamagedError(LiftlockError):
    """A stored file no longer measures what it is called: the store was changed from outside, or the disk fails."""

    code = "StoreDamaged"


class Blob(msgspec.Struct, frozen=True):
    """A stored file: read-only, never changed. `path` is absolute."""

    sha256: str
    size: int
    path: str


class InputStore(Protocol):
    """Blobs and trees."""

    async def add(
        self,
        chunks: AsyncIterator[bytes],
        *,
        what: str,
        max_bytes: int,
        sha256: str | None = None,
        sha512: str | None = None,
        size: int | None = None,
    ) -> Blob:
        """Store what `chunks` gives.

        Raises:
            InputRejectedError: it has more than `max_bytes`, or does not measure `sha256`, `sha512` or `size`;
                `what` names it.
        """
        ...

    async def verified(self, sha256: str) -> Blob | None:
        """Return a stored blob that still measures its name: measured anew whenever its file was touched.

        Raises:
            StoreDamagedError: its bytes were changed in the store; the file stays there for whoever looks into it.
        """
        ...

    async def known_by_sha512(self, sha512: str) -> str | None:
        """Return the sha256 of a blob that measured `sha512` when it was stored, or None."""
        ...

    def blob(self, sha256: str) -> Blob | None:
        """Return a stored blob."""
        ...

    def tree(self, digest: str, holder: str) -> str | None:
        """Return the path of a complete tree, or None. While `holder` holds it, it stays."""
        ...

    def new_tree_name(self) -> str:
        """Return an unused name for a tree in the making."""
        ...

    def commit_tree(self, name: str, digest: str, holder: str, size: int) -> str:
        """Make the complete tree `name`, of `size` bytes, known as `digest` and held for `holder`; return its path.

        Another's, made meanwhile, is as good.
        """
        ...

    def release_trees(self, holder: str) -> None:
        """Hold nothing for `holder` any more."""
        ...

    def surplus_trees(self) -> tuple[str, ...]:
        """Return the new names, `.new-…`, of trees that gave way to others; the caller has the sandbox remove them.

        While there are too many bytes, the least lately used ones that nobody holds go.
        """
        ...


class Wheelhouse(Protocol):
    """A directory of wheels that the worker's settings name."""

    def candidates(self, name: str) -> dict[str, str]:
        """Return sha256 → file name of the wheels of the package called `name` (normalised), as they measure now."""
        ...

    def read(self, file: str) -> AsyncIterator[bytes]:
        """Yield a wheel's bytes."""
        ...
