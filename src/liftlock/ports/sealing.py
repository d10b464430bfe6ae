"""Secrets at rest: sealed with a key that is not in the database, and bound to the row that they belong to."""

from __future__ import annotations

from typing import Protocol


class Sealer(Protocol):
    """Encrypts what the database stores, so that a stolen database alone gives nothing usable."""

    def seal(self, secret: bytes, *, identity: str) -> str:
        """Return `secret` sealed for the row `identity` (such as `client/people/alice`), as ASCII text."""
        ...

    def unseal(self, sealed: str, *, identity: str) -> bytes:
        """Return the secret.

        Raises:
            StorageError: it was sealed for another row or with an unknown key, or was changed.
        """
        ...
