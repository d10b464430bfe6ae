"""Measuring bytes while they are written, against what was promised of them."""

from __future__ import annotations

import hashlib

from liftlock.ports.input_store import InputRejectedError


class Measuring:
    """Counts and digests chunks; `long`: sha512 as well. `what` names the input in errors."""

    def __init__(self, what: str, max_bytes: int, *, long: bool) -> None:
        self._what = what
        self._most = max_bytes
        self._digest = hashlib.sha256()
        self._long = hashlib.sha512() if long else None
        self.size = 0

    @property
    def sha256(self) -> str:
        """Return the digest of all that came."""
        return self._digest.hexdigest()

    def count(self, size: int) -> None:
        """Count bytes that arrived, or raise InputRejectedError: there are too many."""
        self.size += size
        if self.size > self._most:
            raise InputRejectedError(f"{self._what}: it has more than {self._most} bytes")

    def hash(self, chunk: bytes) -> None:
        """Digest the next of the bytes that were counted."""
        self._digest.update(chunk)
        if self._long is not None:
            self._long.update(chunk)

    def check(self, *, sha256: str | None, sha512: str | None, size: int | None) -> None:
        """Raise InputRejectedError unless everything that was promised was measured; the message names both."""
        if size is not None and self.size != size:
            raise InputRejectedError(f"{self._what}: declared {size} bytes, observed {self.size}")
        if sha256 is not None and self.sha256 != sha256:
            raise InputRejectedError(
                f"{self._what}: declared sha256 {sha256}, observed {self.sha256} ({self.size} bytes)"
            )
        if sha512 is not None and self._long is not None and self._long.hexdigest() != sha512:
            raise InputRejectedError(
                f"{self._what}: declared sha512 {sha512}, observed {self._long.hexdigest()} ({self.size} bytes)"
            )
