"""A package index, as who publishes to it sees it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from liftlock.errors import LiftlockError
from liftlock.values.secret import Secret


class IndexFailedError(LiftlockError):
    """The index refused, answered something else than expected, or could not be reached; never with a secret in it."""

    code = "IndexFailed"


class IndexAddress(msgspec.Struct, frozen=True):
    """`upload`: where files are posted; `simple`: the index that installers read."""

    upload: str
    simple: str


class Release(msgspec.Struct, frozen=True):
    """One file to publish. `fields`: what the upload says of it, in order, several values by repetition."""

    filename: str
    content: bytes
    fields: tuple[tuple[str, str], ...]


class PackageIndex(Protocol):
    """Uploads to, and reads from, an index."""

    async def served(self, address: IndexAddress, project: str, filename: str) -> str | None:
        """Return the sha256 of the file as the index serves it now, or None if it does not have it; IndexFailedError."""
        ...

    async def files(self, simple: str, project: str) -> list[str]:
        """Return the names of all files of the project on the index `simple`; none if it has no such project; IndexFailedError."""
        ...

    async def fetch(self, simple: str, project: str, filename: str, *, max_bytes: int) -> bytes | None:
        """Return the file that the index `simple` serves, or None if it does not have it; IndexFailedError if it is larger."""
        ...

    async def upload(self, address: IndexAddress, release: Release, user: str, token: Secret) -> None:
        """Upload one file; IndexFailedError if the index does not take it."""
        ...
