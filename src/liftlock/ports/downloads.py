"""Fetching what an address gives: by one guarded client, streamed, never parsed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from liftlock.errors import LiftlockError


class DownloadFailedError(LiftlockError):
    """An address gave nothing usable: refused, unreachable, too slow, an error status. The message says which.

    The detail `again` is true if it may help to try again; `challenge` is what a 401 says of how to log in.
    """

    code = "DownloadFailed"


class DownloadRefusedError(DownloadFailedError):
    """The address is not one that may be connected to."""

    code = "DownloadRefused"


class Opened(msgspec.Struct, frozen=True):
    """An answer that is being received: `url` after all redirects; `chunks` its bytes as sent."""

    url: str
    chunks: AsyncIterator[bytes]
    content_type: str = ""


class Downloader(Protocol):
    """Fetches over http and https."""

    def open(
        self, url: str, *, max_bytes: int, headers: tuple[tuple[str, str], ...] = ()
    ) -> AbstractAsyncContextManager[Opened]:
        """Open what `url` gives.

        `headers` go to the origin of `url` only, not to where it redirects, nor to it again once it led elsewhere.

        Raises:
            DownloadRefusedError: it, or where it redirects, leads to an address that the policy keeps out.
            DownloadFailedError: no answer of 200, more than `max_bytes`, too slow. Also while the chunks are taken.
        """
        ...
