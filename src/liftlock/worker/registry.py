"""Blobs of an OCI registry, by digest; with a token, or the worker's own login, where the registry wants one."""

from __future__ import annotations

from liftlock.domain.inputs.oci import INDEXES, MANIFESTS, MAX_DOCUMENT_BYTES, Descriptor
from liftlock.domain.inputs.registry_challenge import MAX_TOKEN_CHARS, token_in
from liftlock.domain.inputs.registry_login import Login, answer
from liftlock.errors import NotFoundError
from liftlock.ports.downloads import Downloader, DownloadFailedError
from liftlock.ports.input_store import Blob, InputStore
from liftlock.values.secret import Secret
from liftlock.worker.fetching import repeated

_ACCEPT = (("accept", ", ".join((*MANIFESTS, *INDEXES))),)


class RegistryBlobs:
    """Those of the repository `name` of the registry at `registry`, whose `login` is the worker's, and for it alone.

    What is shown to the registry is this run's and never told.
    """

    def __init__(
        self,
        store: InputStore,
        registry: str,
        name: str,
        downloader: Downloader | None,
        login: Login | None = None,
    ) -> None:
        self._login = login
        self._store = store
        self._registry = registry.rstrip("/")
        self._name = name
        self._downloader = downloader
        self._shown: Secret | None = None

    async def get(self, found: Descriptor, what: str) -> Blob:
        """Return the blob; what is stored already is not fetched."""
        stored = await self._store.verified(found.sha256)
        if stored is not None:
            return stored
        if self._downloader is None:
            raise NotFoundError("this worker downloads nothing")
        downloader = self._downloader

        async def attempt() -> Blob:
            try:
                return await self._fetch(downloader, found, what)
            except DownloadFailedError as error:
                challenge = error.details.get("challenge")
                if not challenge or self._shown is not None:
                    raise
                self._shown = await self._ask(downloader, str(challenge))
                return await self._fetch(downloader, found, what)

        return await repeated(attempt)

    async def _fetch(self, downloader: Downloader, found: Descriptor, what: str) -> Blob:
        is_manifest = found.media_type in (*MANIFESTS, *INDEXES)
        kind = "manifests" if is_manifest else "blobs"
        url = f"{self._registry}/v2/{self._name}/{kind}/sha256:{found.sha256}"
        most = found.size or MAX_DOCUMENT_BYTES
        headers = _ACCEPT if is_manifest else ()
        headers = (*headers, *_authorization(self._shown))
        async with downloader.open(url, max_bytes=most, headers=headers) as opened:
            return await self._store.add(
                opened.chunks, what=what, max_bytes=most, sha256=found.sha256, size=found.size or None
            )

    async def _ask(self, downloader: Downloader, challenge: str) -> Secret | None:
        """Return what to show at the registry; a token is asked for with the login where there is one."""
        how = answer(challenge, base=self._registry, name=self._name, login=self._login)
        if how.token_url is None:
            return how.authorization
        headers = _authorization(how.authorization)
        async with downloader.open(how.token_url, max_bytes=2 * MAX_TOKEN_CHARS, headers=headers) as opened:
            return Secret(f"Bearer {token_in(b''.join([chunk async for chunk in opened.chunks]))}")


def _authorization(shown: Secret | None) -> tuple[tuple[str, str], ...]:
    return () if shown is None else (("authorization", shown.reveal()),)
