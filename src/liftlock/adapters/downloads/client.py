"""Downloader over httpcore: redirects one by one, bytes as sent, every step with a bound."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urljoin, urlsplit

import httpcore2

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.guarded import GuardedBackend
from liftlock.ports.downloads import DownloadFailedError, DownloadRefusedError, Opened

MAX_REDIRECTS = 8
CONNECT_S = 10.0
STALL_S = 30.0
"""How long nothing may come."""
GRACE_S = 30.0
"""How long a sender may be slower than `LEAST_RATE`."""
LEAST_RATE = 16 * 1024
"""Bytes a second, on average since the beginning."""
TOTAL_S = 4 * 3600.0
_REDIRECTS = (301, 302, 303, 307, 308)
_AGENT = (b"user-agent", b"liftlock-worker")


class HttpDownloader:
    """Fetches. The bounds are arguments for tests' sake."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        connect_s: float = CONNECT_S,
        stall_s: float = STALL_S,
        grace_s: float = GRACE_S,
        least_rate: int = LEAST_RATE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connect_s = connect_s
        self._stall_s = stall_s
        self._grace_s = grace_s
        self._least_rate = least_rate
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=32,
            max_keepalive_connections=8,
            keepalive_expiry=10.0,
            network_backend=GuardedBackend(addresses),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    @contextlib.asynccontextmanager
    async def open(
        self, url: str, *, max_bytes: int, headers: tuple[tuple[str, str], ...] = ()
    ) -> AsyncIterator[Opened]:
        """Open what `url` gives; see the port."""
        first, sent = _origin(url), headers
        for _ in range(MAX_REDIRECTS + 1):
            if _origin(url) != first:
                sent = ()  # for good: another origin does not choose what is asked with them
            async with self._answer(url, sent) as answer:
                if answer.status not in _REDIRECTS:
                    yield self._opened(url, answer, max_bytes)
                    return
                where = _header(answer, b"location")
                target = urljoin(url, where)
                if not where or (url.startswith("https:") and not target.startswith("https:")):
                    raise DownloadRefusedError(
                        f"{shown(url)}: it redirects to {shown(target)}, which is not followed"
                    )
                url = target
        raise DownloadFailedError(f"{shown(url)}: more than {MAX_REDIRECTS} redirects in a row")

    @contextlib.asynccontextmanager
    async def _answer(
        self, url: str, headers: tuple[tuple[str, str], ...]
    ) -> AsyncIterator[httpcore2.Response]:
        _check(url)
        sent = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        sent += [_AGENT, (b"accept-encoding", b"identity"), (b"host", urlsplit(url).netloc.encode("idna"))]
        bounds = {
            "connect": self._connect_s,
            "read": self._stall_s,
            "write": self._stall_s,
            "pool": self._stall_s,
        }
        try:
            async with self._pool.stream("GET", url, headers=sent, extensions={"timeout": bounds}) as answer:
                yield answer
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise DownloadFailedError(
                f"{shown(url)}: too slow ({type(error).__name__})", again=True
            ) from error
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.UnsupportedProtocol,
            ssl.SSLError,
            UnicodeError,
        ) as error:
            raise DownloadFailedError(
                f"{shown(url)}: {str(error) or type(error).__name__}", again=True
            ) from error

    def _opened(self, url: str, answer: httpcore2.Response, max_bytes: int) -> Opened:
        if answer.status != 200:
            asked = _header(answer, b"www-authenticate")[:2000] if answer.status == 401 else ""
            more = {"challenge": asked} if asked else {}
            raise DownloadFailedError(
                f"{shown(url)}: HTTP {answer.status}", again=answer.status >= 500, **more
            )
        length = _header(answer, b"content-length")
        if length.isdigit() and int(length) > max_bytes:
            raise DownloadFailedError(
                f"{shown(url)}: it says it has {int(length)} bytes; at most {max_bytes} are taken"
            )
        return Opened(url, self._chunks(url, answer, max_bytes), _header(answer, b"content-type"))

    async def _chunks(self, url: str, answer: httpcore2.Response, max_bytes: int) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        began, size = loop.time(), 0
        async for chunk in answer.aiter_stream():
            size += len(chunk)
            spent = loop.time() - began
            if size > max_bytes:
                raise DownloadFailedError(f"{shown(url)}: more than {max_bytes} bytes")
            if spent > TOTAL_S or (spent > self._grace_s and size < self._least_rate * spent):
                raise DownloadFailedError(f"{shown(url)}: too slow: {size} bytes in {spent:.0f} s")
            yield chunk


def shown(url: str) -> str:
    """Return an address for messages: without its query, which may hold a signature, and without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:500]


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
        parts = urlsplit("")
    if not fits or parts.username is not None or parts.password is not None:
        raise DownloadRefusedError("an address: expected http(s)://host/… without user and password")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _header(answer: httpcore2.Response, name: bytes) -> str:
    for key, value in answer.headers:
        if key.lower() == name:
            return value.decode("latin-1")
    return ""
