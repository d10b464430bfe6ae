"""Randomness comes from here, so that tests can fix it."""

from __future__ import annotations

from typing import Protocol


class Entropy(Protocol):
    """Makes unguessable values."""

    def token_bytes(self, size: int) -> bytes:
        """Return `size` random bytes."""
        ...

    def slugid(self) -> str:
        """Return a new slugid: 22 characters, a random version 4 UUID in url-safe base64.

        Its first bit is 0, so that it never begins with a hyphen, which command lines take for an option.
        """
        ...
