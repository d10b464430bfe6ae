"""Randomness that repeats itself from run to run, and never within one."""

from __future__ import annotations

import base64
import hashlib
import itertools


class CountedEntropy:
    """Implements `ports.entropy.Entropy`: the digests of 0, 1, 2, …"""

    def __init__(self) -> None:
        self._count = itertools.count()

    def token_bytes(self, size: int) -> bytes:
        made = b""
        while len(made) < size:
            made += hashlib.sha256(str(next(self._count)).encode()).digest()
        return made[:size]

    def slugid(self) -> str:
        raw = bytearray(self.token_bytes(16))
        raw[0] &= 0x7F
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        return base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
