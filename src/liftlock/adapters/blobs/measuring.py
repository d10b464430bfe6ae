"""Hashing what is stored and what it holds, while it streams by."""

from __future__ import annotations

import hashlib
import zlib

from liftlock.domain.tasks.artifacts import Content, Encoding
from liftlock.errors import InputInvalidError, TooLargeError

_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 20
"""Bytes that are decompressed at a time."""
MAX_CONTENT_BYTES = 64 << 30
"""Bytes that a compressed upload may hold."""


class Measure:
    """Measures one blob; `stored` bytes go in, the content's digests and lengths come out."""

    def __init__(self, encoding: Encoding, max_bytes: int) -> None:
        self._encoding: Encoding = encoding
        self._max_bytes = max_bytes
        self._stored = hashlib.sha256()
        self._stored_bytes = 0
        self._content = hashlib.sha256() if encoding == "gzip" else self._stored
        self._content_512 = hashlib.sha512()
        self._length = 0
        self._inflate = zlib.decompressobj(_GZIP)

    def take(self, chunk: bytes) -> None:
        """Measure `chunk`; raises TooLargeError or InputInvalidError."""
        self._stored_bytes += len(chunk)
        if self._stored_bytes > self._max_bytes:
            raise TooLargeError(f"upload: expected at most {self._max_bytes} bytes")
        self._stored.update(chunk)
        if self._encoding == "identity":
            self._length += len(chunk)
            self._content_512.update(chunk)
        else:
            self._unzip(chunk)

    def _unzip(self, chunk: bytes) -> None:
        rest = chunk
        while rest:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(_GZIP)  # a further member of the same gzip stream
            try:
                piece = self._inflate.decompress(rest, _PIECE)
            except zlib.error as error:
                raise InputInvalidError(
                    f"upload: its Content-Encoding is gzip and it is not: {error}"
                ) from error
            self._length += len(piece)
            if self._length > MAX_CONTENT_BYTES:
                raise TooLargeError(f"upload: expected at most {MAX_CONTENT_BYTES} bytes uncompressed")
            self._content.update(piece)
            self._content_512.update(piece)
            rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def result(self) -> Content:
        """Return what was measured; raises InputInvalidError if compressed bytes end early."""
        if self._encoding == "gzip" and not self._inflate.eof:
            raise InputInvalidError("upload: its Content-Encoding is gzip and it ends too early")
        return Content(
            blob=self._stored.hexdigest(),
            stored_bytes=self._stored_bytes,
            encoding=self._encoding,
            sha256=self._content.hexdigest(),
            length=self._length,
            sha512=self._content_512.hexdigest(),
        )
