"""WebhookSender over httpcore: each address checked when its socket is made, every step with a bound, nothing followed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpcore2

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.guarded import GuardedBackend
from liftlock.ports.downloads import DownloadFailedError, DownloadRefusedError
from liftlock.ports.webhook_sender import SendingFailedError

CONNECT_S = 5.0
ANSWER_S = 10.0
"""From the first byte sent to the status, all in all."""
_AGENT = (b"user-agent", b"liftlock-webhook")


class HttpWebhookSender:
    """Implements `ports.webhook_sender.WebhookSender`. `answer_s` is an argument for tests' sake."""

    def __init__(
        self, addresses: Addresses, *, answer_s: float = ANSWER_S, tls: ssl.SSLContext | None = None
    ) -> None:
        self._answer_s = answer_s
        self._tls = tls
        self._addresses = addresses
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Send; see the port."""
        try:
            async with asyncio.timeout(self._answer_s):
                status = await self._post(url, headers, body)
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise SendingFailedError("no answer in time") from error
        except DownloadRefusedError as error:
            raise SendingFailedError(
                "the address is not public, and the operator has not named it as one to send events to"
            ) from error
        except DownloadFailedError as error:
            raise SendingFailedError(error.message) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError, UnicodeError) as error:
            raise SendingFailedError(str(error) or type(error).__name__) from error
        if not 200 <= status < 300:
            raise SendingFailedError(f"HTTP {status}")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        sent = [
            _AGENT,
            (b"host", urlsplit(url).netloc.encode("ascii")),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()),
        ]
        bounds = {
            "connect": CONNECT_S,
            "read": self._answer_s,
            "write": self._answer_s,
            "pool": self._answer_s,
        }
        async with self._opened().stream(
            "POST", url, headers=sent, content=body, extensions={"timeout": bounds}
        ) as answer:
            return answer.status

    def _opened(self) -> httpcore2.AsyncConnectionPool:
        """Return the pool, made when first needed: loading certificates takes time that a start does not have."""
        if self._pool is None:
            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=self._tls or ssl.create_default_context(),
                max_connections=64,
                max_keepalive_connections=16,
                keepalive_expiry=10.0,
                network_backend=GuardedBackend(self._addresses),
            )
        return self._pool

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.aclose()
