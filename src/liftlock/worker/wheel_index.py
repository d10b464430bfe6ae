"""Wheels of a package index that the pool's policy names: listed by its simple API, taken only by a lock's digest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote, urljoin

import msgspec

from liftlock.errors import MalformedPayloadError, NotFoundError
from liftlock.ports.downloads import Downloader
from liftlock.values.json import decode_as
from liftlock.worker.fetching import repeated

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
MAX_LISTING_BYTES = 64 << 20


class _File(msgspec.Struct, frozen=True):
    filename: str
    url: str
    hashes: dict[str, str] = {}


class _Listing(msgspec.Struct, frozen=True):
    files: list[_File]


class WheelIndex:
    """Asks one index; what it says is believed only as far as the bytes measure."""

    def __init__(self, downloader: Downloader, url: str) -> None:
        self._downloader = downloader
        self.url = url.rstrip("/")

    async def candidates(self, name: str) -> dict[str, _File]:
        """Return sha256 → file of the wheels of the package called `name` (normalised), as the index says.

        Raises:
            NotFoundError: the index does not answer with the simple API's JSON.
            DownloadFailedError: it has no such package, or does not answer.
        """
        url = f"{self.url}/{quote(name, safe='')}/"
        content, final = await repeated(lambda: self._read(url))
        try:
            listing = decode_as(content, _Listing, what=url)
        except MalformedPayloadError as error:
            raise NotFoundError(f"{url} does not answer with the simple API's JSON") from error
        return {
            file.hashes["sha256"]: msgspec.structs.replace(
                file, url=urljoin(final, file.url).partition("#")[0]
            )
            for file in listing.files
            if "sha256" in file.hashes and file.filename.endswith(".whl") and "/" not in file.filename
        }

    @asynccontextmanager
    async def open(self, file: _File, max_bytes: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a wheel's bytes."""
        async with self._downloader.open(file.url, max_bytes=max_bytes) as opened:
            yield opened.chunks

    async def _read(self, url: str) -> tuple[bytes, str]:
        accept = (("accept", SIMPLE_JSON),)
        async with self._downloader.open(url, max_bytes=MAX_LISTING_BYTES, headers=accept) as opened:
            return b"".join([chunk async for chunk in opened.chunks]), opened.url
