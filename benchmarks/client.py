"""A small HTTP client for measuring: one kept connection, requests signed as the official client signs them."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request


class Client:
    """One connection to the control plane."""

    def __init__(self, root_url: str, credentials: Credentials) -> None:
        self.root_url = root_url
        self.credentials = credentials
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one signed request below `/api/` and return the answer's JSON; an error status is an exception."""
        status, answer = await self.raw(method, path, None if body is None else json.dumps(body).encode())
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {answer[:600]!r}")
        return json.loads(answer) if answer else None

    def signed(self, method: str, path: str, data: bytes | None) -> bytes:
        """Return a whole request, ready to be written."""
        url = f"{self.root_url}/api/{path}"
        header = sign_request(
            self.credentials,
            method,
            url,
            ts=int(time.time()),
            nonce=secrets.token_urlsafe(9),
            body=data or b"",
            content_type="application/json" if data else "",
        )
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        content = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if data else ""
        if data is None and method in {"POST", "PUT"}:
            content = "Content-Length: 0\r\n"
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: {header}\r\n{content}\r\n"
        )
        return head.encode() + (data or b"")

    async def raw(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        """Send one signed request and return status and body."""
        return await self.send(self.signed(method, path, data))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a ready request and return status and body."""
        if self._streams is None:
            parts = urlsplit(self.root_url)
            self._streams = await asyncio.open_connection(parts.hostname, parts.port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at < 0:
            return status, b""
        return status, await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def task_definition(queue: str, **changes: Any) -> dict[str, Any]:
    """Return a task definition of ordinary size (about 1.2 kB) for `queue`."""
    now = datetime.now(UTC)
    definition = {
        "taskQueueId": queue,
        "schedulerId": "bench",
        "created": _wire(now),
        "deadline": _wire(now + timedelta(hours=2)),
        "expires": _wire(now + timedelta(days=7)),
        "priority": "low",
        "payload": {
            "command": [["true"]],
            "maxRunTime": 600,
            "env": {f"VARIABLE_{n}": "value" * 6 for n in range(12)},
        },
        "metadata": {
            "name": "bench",
            "description": "A task that measures.",
            "owner": "bench@example.com",
            "source": "https://example.com/bench",
        },
        "tags": {"kind": "bench"},
    }
    return {**definition, **changes}


def _wire(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"
