"""Inputs that are one file: found in the store by digest, or fetched and measured; compared; their signatures verified."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.declarations import (
    Declaration,
    IndexArtifact,
    TaskArtifact,
    TaskOutput,
    Tooltool,
    Url,
)
from liftlock.domain.inputs.manifest import Measured
from liftlock.domain.inputs.policy import PoolPolicy
from liftlock.domain.inputs.promises import Promise
from liftlock.domain.provenance.producers import Producer
from liftlock.errors import InputValidationError, MalformedPayloadError, NotFoundError
from liftlock.ports.downloads import Downloader, DownloadFailedError
from liftlock.ports.input_store import Blob, InputRejectedError, InputStore
from liftlock.ports.queue_client import ForwardRequest, QueueClient, QueueUnavailableError
from liftlock.values.json import decode
from liftlock.worker.signatures import Signatures

RETRY_S = (0.5, 1.0, 2.0, 4.0)
MAX_INDEX_BYTES = 64 * 1024
T = TypeVar("T")


class Producers(Protocol):
    """What the verified chain of trust of a task says of its artifacts."""

    async def producer(self, task_id: str, artifact: str) -> Producer:
        """Return the run that made the artifact, and the sha256 that it attested.

        Raises:
            InputRejectedError: there is no chain, it does not verify, it lacks the artifact, or its level is too low.
        """
        ...

    async def piped(self, label: str, output: str) -> tuple[str, str]:
        """Return the task and the artifact that are the output of the one dependency with that label.

        Raises:
            InputRejectedError: no dependency's chain has it, or several have it.
        """
        ...


class Fetched(msgspec.Struct, frozen=True):
    """A file in the store, as measured; `details` go into the manifest."""

    blob: Blob
    measured: Measured
    cached: bool
    details: dict[str, Any]


class Fetcher:
    """Fetches for one run, with the run's own rights."""

    def __init__(
        self,
        *,
        queue: QueueClient,
        store: InputStore,
        downloader: Downloader | None,
        policy: PoolPolicy,
        signatures: Signatures,
        producers: Producers | None,
        credentials: Callable[[], Credentials],
        scopes: tuple[str, ...],
    ) -> None:
        self._queue = queue
        self._store = store
        self._downloader = downloader
        self._policy = policy
        self._signatures = signatures
        self._producers = producers
        self._credentials = credentials
        self._scopes = scopes

    async def fetch(self, one: Declaration) -> Fetched:
        """Return the file that `one` declares.

        Raises:
            InputRejectedError: it is not what was declared, or its signature does not hold.
            LiftlockError: it can't be had.
        """
        source = one.source
        match source:
            case Url(url):
                found = await self._download(url, one.promise, url.rpartition("/")[2] or one.name)
            case Tooltool(filename):
                found = await self._tooltool(filename, one)
            case TaskArtifact(task_id, artifact):
                found = await self._artifact(task_id, artifact, one.promise)
            case TaskOutput(label, output):
                if self._producers is None:
                    raise NotFoundError("outputs of dependencies are not offered here")
                task_id, artifact = await self._producers.piped(label, output)
                found = await self._artifact(task_id, artifact, one.promise)
            case IndexArtifact(namespace, artifact):
                task_id = await self._indexed(namespace)
                found = await self._artifact(task_id, artifact, one.promise)
            case _:
                raise AssertionError(one.kind)
        if one.signature is not None:
            said = await self._signatures.verify(found.blob, one.signature)
            return msgspec.structs.replace(found, details=found.details | {"signature": said})
        return found

    async def download(self, url: str, promise: Promise, name: str) -> Fetched:
        """Return what an address of the policy's gives."""
        return await self._download(url, promise, name)

    async def _download(self, url: str, promise: Promise, name: str) -> Fetched:
        stored = await self._stored(promise)
        if stored is not None:
            return Fetched(stored, _measured(name, stored, promise), True, {})
        downloader = self._downloader
        if downloader is None:
            raise NotFoundError("this worker downloads nothing: its settings name no downloader")
        final = url
        most = min(self._policy.max_download_bytes, promise.size or self._policy.max_download_bytes)

        async def attempt() -> Blob:
            nonlocal final
            async with downloader.open(url, max_bytes=most) as opened:
                final = opened.url
                return await self._add(opened.chunks, name, promise)

        blob = await repeated(attempt)
        return Fetched(blob, _measured(name, blob, promise), False, {"url": final.partition("?")[0]})

    async def _tooltool(self, filename: str, one: Declaration) -> Fetched:
        base = self._policy.tooltool
        if base is None:
            raise InputValidationError(f"{one.at}.tooltool: the pool's policy names no tooltool server")
        return await self._download(f"{base.rstrip('/')}/sha512/{one.promise.sha512}", one.promise, filename)

    async def _artifact(self, task_id: str, artifact: str, promise: Promise) -> Fetched:
        details: dict[str, Any] = {"producer": {"taskId": task_id}}
        if self._producers is not None:
            attested = await self._producers.producer(task_id, artifact)
            if promise.sha256 not in (None, attested.sha256):
                raise InputRejectedError(
                    f"{artifact}: declared sha256 {promise.sha256}, its producer's chain says {attested.sha256}"
                )
            promise = msgspec.structs.replace(promise, sha256=attested.sha256)
            details["producer"] = attested.wire()
        stored = await self._stored(promise)
        if stored is not None and artifact.startswith("public/"):
            return Fetched(stored, _measured(artifact, stored, promise), True, details)
        # What is not public is opened even if it is here: whether this task may have it is the queue's to say.
        cached = False

        async def attempt() -> Blob:
            nonlocal cached
            async with self._open(task_id, artifact) as chunks:
                if stored is not None:
                    cached = True
                    return stored
                return await self._add(chunks, artifact, promise)

        blob = await repeated(attempt)
        return Fetched(blob, _measured(artifact, blob, promise), cached, details)

    def _open(self, task_id: str, artifact: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._queue.artifact(self._credentials(), self._scopes, task_id, artifact)

    async def _add(self, chunks: AsyncIterator[bytes], what: str, promise: Promise) -> Blob:
        return await self._store.add(
            chunks,
            what=what,
            max_bytes=self._policy.max_download_bytes,
            sha256=promise.sha256,
            sha512=promise.sha512,
            size=promise.size,
        )

    async def _stored(self, promise: Promise) -> Blob | None:
        """Return the blob in the store that is all that was promised."""
        digest = promise.sha256
        if promise.sha512 is not None:
            known = await self._store.known_by_sha512(promise.sha512)
            if known is None or digest not in (None, known):
                return None
            digest = known
        blob = None if digest is None else await self._store.verified(digest)
        if blob is not None and promise.size not in (None, blob.size):
            raise InputRejectedError(f"declared {promise.size} bytes, observed {blob.size} (sha256 {digest})")
        return blob

    async def _indexed(self, namespace: str) -> str:
        """Return the task that is indexed at `namespace`."""
        target = f"/api/index/v1/task/{quote(namespace, safe='')}".encode("ascii")
        request = ForwardRequest("GET", target, (), self._scopes, self._credentials())
        async with self._queue.forward(request, None) as answer:
            content = bytearray()
            async for chunk in answer.body:
                content += chunk
                if len(content) > MAX_INDEX_BYTES:
                    break
        if answer.status >= 500:
            raise QueueUnavailableError(f"the index answered with HTTP {answer.status}")
        try:
            if answer.status == 200:
                return str(decode(bytes(content), what="answer")["taskId"])
        except (MalformedPayloadError, KeyError, TypeError) as error:
            raise QueueUnavailableError("the index gave no usable answer") from error
        raise NotFoundError(f"nothing is indexed at {namespace} (HTTP {answer.status})")


async def repeated(fetch: Callable[[], Awaitable[T]]) -> T:
    """Return what `fetch` gives, repeated while there is no usable answer and another attempt may help."""
    for pause in RETRY_S:
        try:
            return await fetch()
        except QueueUnavailableError:
            pass
        except DownloadFailedError as error:
            if not error.details.get("again"):
                raise
        await asyncio.sleep(pause)
    return await fetch()


def _measured(name: str, blob: Blob, promise: Promise) -> Measured:
    declared = () if promise.sha256 is None else (promise.sha256,)
    return Measured(name, blob.sha256, blob.size, declared, promise.sha512, promise.size)
