"""The HTTP client of every command: signs, sends, and turns the server's errors into exceptions."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

from liftlock.cli.failures import AnsweredError, TimedOutError, UnreachableError, UsageError
from liftlock.cli.profiles import Profile
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request

DEFAULT_TIMEOUT_S = 30.0
RETIRING = "x-liftlock-retiring"
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class Api:
    """Speaks to one server as one caller.

    A route is given by its parts, each encoded whole: `api.get("queue", "task", task_id, "status")`.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.profile = profile
        self.retiring: dict[str, None] = {}
        """What the server said of scopes that this caller needed and that are to be taken away."""
        self._http = httpx2.Client(timeout=timeout_s, transport=transport, trust_env=False)

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def url(self, service: str, *parts: str, query: Mapping[str, str] | None = None) -> str:
        """Return the absolute address of a route, its parts percent-encoded whole."""
        path = "/".join(quote(part, safe="") for part in parts)
        options = f"?{urlencode(query)}" if query else ""
        return f"{self.profile.root_url}/api/{service}/v1/{path}{options}"

    def get(self, service: str, *parts: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON answer of a GET; errors as in `call`."""
        return self.call("GET", service, *parts, query=query)

    def post(self, service: str, *parts: str, payload: Any = None) -> Any:
        """Return the JSON answer of a POST; errors as in `call`."""
        return self.call("POST", service, *parts, payload=payload)

    def put(self, service: str, *parts: str, payload: Any = None) -> Any:
        """Return the JSON answer of a PUT; errors as in `call`."""
        return self.call("PUT", service, *parts, payload=payload)

    def delete(self, service: str, *parts: str) -> Any:
        """Return the JSON answer of a DELETE; errors as in `call`."""
        return self.call("DELETE", service, *parts)

    def call(
        self,
        method: str,
        service: str,
        *parts: str,
        payload: Any = None,
        query: Mapping[str, str] | None = None,
        authorized_scopes: Sequence[str] | None = None,
    ) -> Any:
        """Return the server's JSON answer, or None if it answered nothing.

        Args:
            authorized_scopes: What the server shall let this request use of the caller's scopes at most.
        Raises:
            AnsweredError: the server answered with an error; the message is the server's.
            TimedOutError, UnreachableError: there was no answer.
        """
        body = None if payload is None else json.dumps(payload).encode()
        with self._send(method, self.url(service, *parts, query=query), body, authorized_scopes) as answer:
            content = _read(answer, MAX_ANSWER_BYTES)
            if answer.status_code >= 400:
                raise _answered(answer.status_code, content)
            return _json(answer.status_code, content) if content else None

    def all_pages(
        self, service: str, *parts: str, key: str, query: Mapping[str, str] | None = None
    ) -> Iterator[Any]:
        """Yield every item of the list `key`, page after page."""
        options = dict(query or {})
        while True:
            page = self.get(service, *parts, query=options)
            yield from page[key]
            token = page.get("continuationToken")
            if not token:
                return
            options["continuationToken"] = token

    def artifact(self, task_id: str, name: str, *, max_bytes: int = MAX_ANSWER_BYTES) -> bytes:
        """Return the content of the latest run's artifact, at most `max_bytes`; errors as in `call`."""
        with self.open_artifact(task_id, name) as chunks:
            return _join(chunks, max_bytes)

    @contextmanager
    def open_artifact(self, task_id: str, name: str) -> Iterator[Iterator[bytes]]:
        """Yield the chunks of the latest run's artifact, decoded; errors as in `call`."""
        url, redirects = self.url("queue", "task", task_id, "artifacts", name), 0
        signed = True
        while True:
            with self._send("GET", url, None, None, signed=signed) as answer:
                if answer.status_code in {301, 302, 303, 307, 308} and redirects < 5:
                    url, signed, redirects = (
                        str(answer.url.join(answer.headers["location"])),
                        False,
                        redirects + 1,
                    )
                    continue
                if answer.status_code >= 300:
                    raise _answered(answer.status_code, _read(answer, MAX_ANSWER_BYTES))
                yield answer.iter_bytes()
                return

    @contextmanager
    def stream(
        self, service: str, *parts: str, query: Mapping[str, str] | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Yield the chunks of a GET's answer; errors as in `call`."""
        with self._send("GET", self.url(service, *parts, query=query), None, None) as answer:
            if answer.status_code >= 300:
                raise _answered(answer.status_code, _read(answer, MAX_ANSWER_BYTES))
            yield answer.iter_bytes()

    @contextmanager
    def _send(
        self, method: str, url: str, body: bytes | None, scopes: Sequence[str] | None, *, signed: bool = True
    ) -> Iterator[httpx2.Response]:
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        if signed:
            value = _authorization(self.profile, method, url, body, scopes)
            if value is not None:
                headers["authorization"] = value
        try:
            with self._http.stream(method, url, content=body, headers=headers) as answer:
                if RETIRING in answer.headers:
                    self.retiring[answer.headers[RETIRING]] = None
                yield answer
        except httpx2.TimeoutException as error:
            raise TimedOutError(f"{method} {url}: no answer in time") from error
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL) as error:
            raise UnreachableError(f"{method} {url}: {error}") from error


def _authorization(
    profile: Profile, method: str, url: str, body: bytes | None, scopes: Sequence[str] | None
) -> str | None:
    """Return the header's value, or None if the profile is anonymous."""
    if profile.client_id is None:
        if scopes is not None:
            raise UsageError("this request limits its scopes, so it needs credentials, and there are none")
        return None
    if profile.access_token is None:
        raise UsageError(f"there is no access token for the client {profile.client_id}")
    return sign_request(
        Credentials(profile.client_id, profile.access_token, profile.certificate),
        method,
        url,
        ts=int(time.time()),
        nonce=secrets.token_urlsafe(12),
        body=body,
        content_type="" if body is None else "application/json",
        authorized_scopes=scopes,
    )


def _read(answer: httpx2.Response, max_bytes: int) -> bytes:
    return _join(answer.iter_bytes(), max_bytes)


def _join(chunks: Iterator[bytes], max_bytes: int) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            raise AnsweredError(200, "InputTooLarge", f"the answer is larger than {max_bytes} bytes")
    return bytes(content)


def _json(status: int, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise AnsweredError(status, "InternalServerError", f"the answer is no JSON: {error}") from error


def _answered(status: int, content: bytes) -> AnsweredError:
    """Return the server's error; a proxy's page between us and it is shown as what it is."""
    try:
        error = json.loads(content)
        return AnsweredError(status, str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        text = content[:300].decode("utf-8", "replace")
        return AnsweredError(status, "InternalServerError", f"HTTP {status} without an error code: {text!r}")
