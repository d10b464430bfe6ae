"""The kernel's randomness."""

from __future__ import annotations

import base64
import os
import uuid


class SystemEntropy:
    """Implements `ports.entropy.Entropy`."""

    def token_bytes(self, size: int) -> bytes:
        """Return `size` random bytes."""
        return os.urandom(size)  # noqa: TID251 -- this is the entropy port's adapter

    def slugid(self) -> str:
        """Return a new slugid."""
        raw = bytearray(uuid.UUID(bytes=os.urandom(16), version=4).bytes)  # noqa: TID251 -- as above
        raw[0] &= 0x7F
        return base64.urlsafe_b64encode(raw)[:22].decode()
