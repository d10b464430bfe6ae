"""Signed requests to one control plane: addresses, credentials, answers and errors; nothing of any one service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from liftlock import errors
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request
from liftlock.errors import LiftlockError
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.ports.queue_client import QueueUnavailableError
from liftlock.values.json import decode

MAX_JSON_BYTES = 32 << 20
_CLASSES: dict[str, type[LiftlockError]] = {
    found.code: found
    for found in (
        errors.MalformedPayloadError,
        errors.InputValidationError,
        errors.InputInvalidError,
        errors.RequestArgumentsError,
        errors.AuthenticationFailedError,
        errors.RefusedError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.ExpiredError,
        errors.TooLargeError,
        errors.ArtifactFailedError,
        errors.TemplateRefusedError,
        errors.RepositoryError,
    )
}
_BY_STATUS: dict[int, type[LiftlockError]] = {
    400: errors.InputInvalidError,
    401: errors.AuthenticationFailedError,
    403: errors.RefusedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    410: errors.ExpiredError,
    413: errors.TooLargeError,
    424: errors.ArtifactFailedError,
}


class SignedHttp:
    """One connection pool to one control plane. `storage_origins`: further origins that it may send a worker to."""

    def __init__(
        self,
        root_url: str,
        clock: Clock,
        entropy: Entropy,
        *,
        storage_origins: Sequence[str] = (),
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.root_url = root_url.rstrip("/")
        self.clock = clock
        self._entropy = entropy
        self._origins = frozenset({origin_of(self.root_url), *map(origin_of, storage_origins)})
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=20, keepalive_expiry=30)
        self._http = httpx2.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, limits=limits, timeout=None
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def url(self, service: str, *parts: str) -> str:
        """Return the absolute address of a route, its parts percent-encoded whole."""
        return f"{self.root_url}/api/{service}/v1/" + "/".join(quote(part, safe="") for part in parts)

    def is_ours(self, url: str) -> bool:
        """Tell whether an address is the control plane's own, or a storage that the settings name."""
        parts = urlsplit(url)
        return parts.username is None and parts.password is None and origin_of(url) in self._origins

    def sign(
        self,
        credentials: Credentials,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        content_type: str = "",
        scopes: Sequence[str] | None = None,
    ) -> str:
        """Return the Authorization header of a request sent now."""
        return sign_request(
            credentials,
            method,
            url,
            ts=int(self.clock.now().timestamp()),
            nonce=self._entropy.token_bytes(12).hex(),
            body=body,
            content_type=content_type,
            authorized_scopes=scopes,
        )

    async def call(
        self,
        credentials: Credentials,
        method: str,
        url: str,
        payload: Any = None,
        *,
        scopes: Sequence[str] | None = None,
        timeout_s: float = 30.0,
    ) -> tuple[Any, httpx2.Headers]:
        """Return the JSON answer (None if it is empty) and its headers; a redirect's body counts as the answer.

        Raises:
            QueueUnavailableError: no answer, or one of 5xx or 429.
            LiftlockError: the error that the answer names.
        """
        body = None if payload is None else msgspec.json.encode(payload)
        headers = {"accept": "application/json"}
        kind = ""
        if body is not None:
            headers["content-type"] = kind = "application/json"
        headers["authorization"] = self.sign(
            credentials, method, url, body=body, content_type=kind, scopes=scopes
        )
        async with self.stream(method, url, headers=headers, content=body, timeout_s=timeout_s) as answer:
            content = await read_bounded(answer)
            if not content:
                return None, answer.headers
            try:
                return decode(content, what="answer"), answer.headers
            except errors.MalformedPayloadError as error:
                raise QueueUnavailableError(
                    f"{method} {url}: the answer is no JSON: {error.message}"
                ) from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Any,
        content: bytes | AsyncIterator[bytes] | None,
        timeout_s: float,
        target: bytes | None = None,
        check: bool = True,
    ) -> AsyncIterator[httpx2.Response]:
        """Send and open the answer, unread; `timeout_s` bounds each step, not the whole. Errors as in `call`.

        Args:
            target: Path and query as they go on the wire, where they must not be normalised.
            check: Whether an answer of 400 and above is raised.
        """
        extensions: dict[str, Any] = {"timeout": httpx2.Timeout(timeout_s, connect=10.0).as_dict()}
        if target is not None:
            extensions["target"] = target
        try:
            request = httpx2.Request(method, url, headers=headers, content=content, extensions=extensions)
            answer = await self._http.send(request, stream=True)
            try:
                if check and answer.status_code >= 400:
                    raise error_of(method, url, answer.status_code, await read_bounded(answer))
                yield answer
            finally:
                await answer.aclose()
        except (httpx2.TransportError, httpx2.InvalidURL, httpx2.DecodingError) as error:
            shown = url.partition("?")[0]
            raise QueueUnavailableError(f"{method} {shown}: {str(error) or type(error).__name__}") from error


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, in one spelling."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        port = 0
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


async def read_bounded(answer: httpx2.Response, most: int = MAX_JSON_BYTES) -> bytes:
    """Return an answer's content, or raise QueueUnavailableError if it has more than `most` bytes."""
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > most:
            raise QueueUnavailableError(f"{answer.url}: the answer has more than {most} bytes")
    return bytes(content)


def error_of(method: str, url: str, status: int, content: bytes) -> LiftlockError:
    """Return the error that an answer of 400 and above stands for."""
    shown = url.partition("?")[0]
    try:
        said = decode(content, what="answer")
        code, message = str(said["code"]), str(said["message"])
    except (errors.MalformedPayloadError, KeyError, TypeError):
        code, message = "", f"{method} {shown}: HTTP {status}"
    if status >= 500 or status in (408, 425, 429):
        return QueueUnavailableError(f"{method} {shown}: HTTP {status}: {message[:500]}")
    found = _CLASSES.get(code) or _BY_STATUS.get(status, errors.InputInvalidError)
    return found(message[:2000])


def server_ahead_s(headers: httpx2.Headers, clock: Clock) -> float:
    """Return by how many seconds the server's clock is ahead of ours: 0 if they agree within what `Date` can tell."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
        ahead = (date - clock.now()).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    # Date is cut to whole seconds: the server's clock is somewhere in the second after it.
    return 0.0 if -2.0 <= ahead <= 1.0 else ahead + 1.0
