"""gidgethub's requests over httpx2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx2
from gidgethub.abc import GitHubAPI

from liftlock.ports.forge import ForgeUnavailableError

MAX_ANSWER_BYTES: Final = 8 << 20
TIMEOUT_S: Final = 30.0


class HttpxGitHub(GitHubAPI):
    """One client of one API; `base_url` has no slash at its end."""

    def __init__(self, client: httpx2.AsyncClient, base_url: str) -> None:
        super().__init__("liftlock", base_url=base_url)
        self._client = client

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            async with self._client.stream(
                method, url, headers=dict(headers), content=body, timeout=TIMEOUT_S, follow_redirects=False
            ) as answer:
                content = bytearray()
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise ForgeUnavailableError(f"{method} {url}: the answer is too large", again=False)
                return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, bytes(content)
        except httpx2.HTTPError as error:
            raise ForgeUnavailableError(
                f"{method} {url}: {str(error) or type(error).__name__}", again=True
            ) from error

    async def sleep(self, seconds: float) -> None:
        """Wait for nothing: what has to wait is put back in the queue of work, and others go on."""
        raise ForgeUnavailableError(f"the forge asks to wait for {seconds:.0f} s", again=True)
