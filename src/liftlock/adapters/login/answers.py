"""Asking an identity provider: bounded in time and size, without redirects, and with errors that hold none of its secrets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from liftlock.domain.credentials.login_settings import ProviderSettings
from liftlock.errors import MalformedPayloadError, ProviderFailedError
from liftlock.values.json import decode

ANSWER_S: Final = 10.0
ALL_S: Final = 20.0
"""For everything that one sign-in asks of the provider."""
MAX_ANSWER: Final = 1 << 20


@cache
def verification() -> ssl.SSLContext:
    """Return how certificates are verified; made once, for reading all authorities takes a while."""
    return httpx2.create_ssl_context()


class AnswerRefusedError(httpx2.TransportError):
    """An answer that is not read to its end."""


class _Bounded(httpx2.AsyncBaseTransport):
    """Answers of at most `MAX_ANSWER` bytes, not packed: what is packed may be any size."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=verification())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        answer = await self._inner.handle_async_request(request)
        if answer.headers.get("content-encoding", "identity") != "identity":
            await answer.aclose()
            raise AnswerRefusedError("packed")
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_Counted(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > MAX_ANSWER:
                raise AnswerRefusedError("too large")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class Configured:
    """What every provider says of itself, as it is configured: part of `ports.identity_provider.IdentityProvider`."""

    def __init__(self, told: ProviderSettings) -> None:
        self._told = told

    @property
    def name(self) -> str:
        """The name in addresses and client ids."""
        return self._told.name

    @property
    def label(self) -> str:
        """What the sign-in page says."""
        return self._told.label

    @property
    def issuer(self) -> str:
        """What its answers and tokens say they come from."""
        return self._told.issuer


@asynccontextmanager
async def client_of(told: ProviderSettings, redirect_uri: str, **more: Any) -> AsyncIterator[Any]:
    """Yield an OAuth2 client of the provider; what goes wrong with the provider is a ProviderFailedError."""
    try:
        async with (
            asyncio.timeout(ALL_S),
            AsyncOAuth2Client(
                told.client_id,
                told.client_secret,
                redirect_uri=redirect_uri,
                code_challenge_method="S256",
                transport=_Bounded(),
                timeout=ANSWER_S,
                follow_redirects=False,
                trust_env=False,
                **more,
            ) as made,
        ):
            yield made
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        raise ProviderFailedError(f"{told.label} does not answer ({type(error).__name__})") from error
    except AuthlibBaseError as error:
        raise ProviderFailedError(f"{told.label} refused: {str(error.error)[:80]}") from error


async def redeem(told: ProviderSettings, client: Any, url: str, code: str, verifier: str) -> dict[str, Any]:
    """Return what the provider's token endpoint gives for a code; raises ProviderFailedError."""
    try:
        token = await client.fetch_token(
            url,
            grant_type="authorization_code",
            code=code,
            redirect_uri=client.redirect_uri,
            code_verifier=verifier,
            headers={"accept": "application/json"},
        )
    except (ValueError, RecursionError) as error:
        raise ProviderFailedError(f"{told.label} answered something that is no token") from error
    return dict(token)


async def fetch(told: ProviderSettings, client: Any, url: str, **options: Any) -> Any:
    """Return the JSON that the provider has at `url`; raises ProviderFailedError for anything else."""
    answer = await client.request("GET", url, headers={"accept": "application/json"}, **options)
    if answer.status_code != 200:
        raise ProviderFailedError(f"{told.label} answered {answer.status_code}")
    try:
        return decode(answer.content, what="answer")
    except MalformedPayloadError as error:
        raise ProviderFailedError(f"{told.label} answered something that is no JSON") from error
