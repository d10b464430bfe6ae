"""Uploads to a package index as twine does, and reads what it serves as installers do. Implements `ports.package_index`.

Source: the upload API of the Python package index; the simple repository API
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import httpx2
from packaging.utils import canonicalize_name

from liftlock.errors import MalformedPayloadError
from liftlock.ports.package_index import IndexAddress, IndexFailedError, Release
from liftlock.values.json import decode
from liftlock.values.secret import Secret

TIMEOUT_S: Final = 120.0
MAX_PAGE_BYTES: Final = 16 << 20
MAX_FILE_BYTES: Final = 1 << 30
_JSON: Final = "application/vnd.pypi.simple.v1+json"
_SHOWN: Final = 300


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
        page = f"{address.simple.rstrip('/')}/{canonicalize_name(project)}/"
        found = await self._page(page)
        if found is None:
            return None
        links = _links(found, page)
        url = next((link for link in links if _name_of(link) == filename), None)
        return None if url is None else await self._digest(url)

    async def upload(self, address: IndexAddress, release: Release, user: str, token: Secret) -> None:
        """Upload one file; see the port."""
        fields: dict[str, list[str]] = {}
        for key, value in release.fields:
            fields.setdefault(key, []).append(value)
        try:
            answer = await self._http.post(
                address.upload,
                data=fields,
                files={"content": (release.filename, release.content, "application/octet-stream")},
                auth=(user, token.reveal()),
            )
        except httpx2.HTTPError as error:
            raise IndexFailedError(
                f"{_shown(address.upload)}: {type(error).__name__} while uploading {release.filename}"
            ) from None
        if answer.status_code >= 300:
            said = " ".join(answer.text[:_SHOWN].split()).replace(token.reveal(), "…")
            raise IndexFailedError(
                f"{_shown(address.upload)}: {release.filename} was not taken: HTTP {answer.status_code}: {said}"
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

    async def _digest(self, url: str) -> str:
        digest, count = hashlib.sha256(), 0
        try:
            async with self._http.stream("GET", url, follow_redirects=True) as answer:
                if answer.status_code != 200:
                    raise IndexFailedError(f"{_shown(url)}: HTTP {answer.status_code}")
                async for chunk in answer.aiter_bytes():
                    digest.update(chunk)
                    count += len(chunk)
                    if count > MAX_FILE_BYTES:
                        raise IndexFailedError(f"{_shown(url)}: more than {MAX_FILE_BYTES} bytes")
        except httpx2.HTTPError as error:
            raise IndexFailedError(f"{_shown(url)}: {type(error).__name__}") from None
        return digest.hexdigest()


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
