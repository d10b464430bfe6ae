"""Uploads to a package index as twine does, and reads what it serves as installers do. Implements `ports.package_index`.

Source: the upload API of the Python package index; the simple repository API
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from html.parser import HTMLParser
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import httpx2
from packaging.utils import canonicalize_name

from liftlock.errors import MalformedPayloadError
from liftlock.ports.package_index import IndexAddress, IndexFailedError, Release
from liftlock.values.json import decode
from liftlock.values.secret import Secret, hidden

TIMEOUT_S: Final = 120.0
MAX_PAGE_BYTES: Final = 16 << 20
MAX_FILE_BYTES: Final = 1 << 30
_JSON: Final = "application/vnd.pypi.simple.v1+json"
_SHOWN: Final = 300
_READ: Final = 64 << 10


class HttpPackageIndex:
    """Speaks to indexes over HTTP; follows no redirect with credentials."""

    def __init__(self, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._http = httpx2.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=TIMEOUT_S
        )

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def served(self, address: IndexAddress, project: str, filename: str) -> str | None:
        """Return the sha256 of what the index serves; see the port."""
        url = await self._link(address.simple, project, filename)
        if url is None:
            return None
        digest = hashlib.sha256()
        async for chunk in self._chunks(url, MAX_FILE_BYTES):
            digest.update(chunk)
        return digest.hexdigest()

    async def fetch(self, simple: str, project: str, filename: str, *, max_bytes: int) -> bytes | None:
        """Return the file; see the port."""
        url = await self._link(simple, project, filename)
        return None if url is None else b"".join([chunk async for chunk in self._chunks(url, max_bytes)])

    async def files(self, simple: str, project: str) -> list[str]:
        """Return the files' names; see the port."""
        page = f"{simple.rstrip('/')}/{canonicalize_name(project)}/"
        found = await self._page(page)
        return [] if found is None else [_name_of(link) for link in _links(found, page)]

    async def _link(self, simple: str, project: str, filename: str) -> str | None:
        """Return where the project's page says that the file is; None: it has no such file."""
        page = f"{simple.rstrip('/')}/{canonicalize_name(project)}/"
        found = await self._page(page)
        if found is None:
            return None
        return next((link for link in _links(found, page) if _name_of(link) == filename), None)

    async def upload(self, address: IndexAddress, release: Release, user: str, token: Secret) -> None:
        """Upload one file; see the port."""
        fields: dict[str, list[str]] = {}
        for key, value in release.fields:
            fields.setdefault(key, []).append(value)
        try:
            async with self._http.stream(
                "POST",
                address.upload,
                data=fields,
                files={"content": (release.filename, release.content, "application/octet-stream")},
                auth=(user, token.reveal()),
            ) as answer:
                said = b"" if answer.status_code < 300 else await _beginning(answer)
        except httpx2.HTTPError as error:
            raise IndexFailedError(
                f"{_shown(address.upload)}: {type(error).__name__} while uploading {release.filename}"
            ) from None
        if answer.status_code >= 300:
            shown = " ".join(hidden(said, [token]).decode("utf-8", "replace").split())[:_SHOWN]
            raise IndexFailedError(
                f"{_shown(address.upload)}: {release.filename} was not taken: HTTP {answer.status_code}: {shown}"
            )

    async def _page(self, url: str) -> tuple[str, bytes] | None:
        """Return the page's media type and content, or None if there is none."""
        answer = await self._get(url, {"accept": f"{_JSON}, text/html;q=0.5"})
        if answer is None:
            return None
        return answer.headers.get("content-type", "").partition(";")[0].strip(), answer.content

    async def _get(self, url: str, headers: dict[str, str]) -> httpx2.Response | None:
        try:
            answer = await self._http.get(url, headers=headers, follow_redirects=True)
        except httpx2.HTTPError as error:
            raise IndexFailedError(f"{_shown(url)}: {type(error).__name__}") from None
        if answer.status_code == 404:
            return None
        if answer.status_code != 200 or len(answer.content) > MAX_PAGE_BYTES:
            raise IndexFailedError(f"{_shown(url)}: HTTP {answer.status_code}")
        return answer

    async def _chunks(self, url: str, max_bytes: int) -> AsyncIterator[bytes]:
        count = 0
        try:
            async with self._http.stream("GET", url, follow_redirects=True) as answer:
                if answer.status_code != 200:
                    raise IndexFailedError(f"{_shown(url)}: HTTP {answer.status_code}")
                async for chunk in answer.aiter_bytes():
                    count += len(chunk)
                    if count > max_bytes:
                        raise IndexFailedError(f"{_shown(url)}: more than {max_bytes} bytes")
                    yield chunk
        except httpx2.HTTPError as error:
            raise IndexFailedError(f"{_shown(url)}: {type(error).__name__}") from None


async def _beginning(answer: httpx2.Response) -> bytes:
    """Return the first bytes of what the index says, and no more of it than that; it may hang up at any moment."""
    found = bytearray()
    with contextlib.suppress(httpx2.HTTPError):
        async for chunk in answer.aiter_bytes():
            found += chunk
            if len(found) > _READ:
                break
    return bytes(found[:_READ])


def _shown(url: str) -> str:
    """Return the address without what might be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _name_of(link: str) -> str:
    return unquote(urlsplit(link).path.rpartition("/")[2])


def _links(page: tuple[str, bytes], base: str) -> Sequence[str]:
    media, content = page
    if media == _JSON:
        try:
            files = decode(content, what="index page").get("files", [])
        except (MalformedPayloadError, AttributeError) as error:
            raise IndexFailedError(f"{_shown(base)}: expected the index's JSON") from error
        return [urljoin(base, str(one.get("url", ""))) for one in files if isinstance(one, dict)]
    parser = _Anchors()
    parser.feed(content.decode("utf-8", "replace"))
    return [urljoin(base, link) for link in parser.links]


class _Anchors(HTMLParser):
    """Collects where the page's anchors lead."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]
