"""Index snapshots: GET only, nothing newer than an instant, every answer digested so that a rerun replays it offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from liftlock.domain.inputs.declarations import Snapshot
from liftlock.domain.inputs.policy import Index
from liftlock.domain.inputs.requirements import normal_name
from liftlock.domain.inputs.snapshot import IndexedFile, as_of, before
from liftlock.ports.downloads import Downloader
from liftlock.ports.input_store import Blob, InputStore
from liftlock.worker.fetching import repeated
from liftlock.worker.network.package_index import INSIDE_URL, SIMPLE_JSON, Answer
from liftlock.worker.network.record import NetworkRecord

MAX_LISTING_BYTES = 64 << 20
MAX_FILE_BYTES = 4 << 30


class SnapshotIndex:
    """One snapshot, served below `/snapshot/<name>/`: `simple/<package>/` and `files/<package>/<file>[.metadata]`."""

    def __init__(
        self,
        name: str,
        source: Snapshot,
        index: Index,
        *,
        downloader: Downloader | None,
        store: InputStore,
        record: NetworkRecord,
    ) -> None:
        self._name = name
        self._index = index
        self._downloader = downloader
        self._store = store
        self._record = record
        self._before: datetime = before(source, f"{name}.before")
        self._replayed = (
            None if source.answers is None else {answer.path: answer.sha256 for answer in source.answers}
        )
        self._files: dict[str, dict[str, IndexedFile]] = {}

    async def find(self, path: str, accept: str) -> Answer | str:
        """Answer from the record, or from the index and into the record."""
        kind, _, rest = path.partition("/")
        if kind == "simple":
            rest = f"{normal_name(rest.strip('/'))}/"
        path = f"{kind}/{rest}"
        content_type = SIMPLE_JSON if kind == "simple" else "application/octet-stream"
        if self._replayed is not None:
            sha256 = self._replayed.get(path)
            blob = None if sha256 is None else await self._store.verified(sha256)
            if blob is None:
                return f"{path[:200]} was not asked for when this snapshot was recorded"
        else:
            found = await self._discover(kind, rest)
            if isinstance(found, str):
                return found
            blob = found
        self._record.answered(f"{self._name}:{path}", blob.sha256, blob.size)
        return Answer(content_type, path=blob.path, size=blob.size)

    async def _discover(self, kind: str, rest: str) -> Blob | str:
        if kind == "simple" and len(rest) > 1:
            return await self._listing(rest.strip("/"))
        package, _, filename = rest.partition("/")
        if kind != "files" or not filename:
            return "a snapshot has simple/<package>/ and files/<package>/<file>"
        if package not in self._files:
            await self._listing(package)
        wanted = filename.removesuffix(".metadata")
        file = self._files[package].get(wanted)
        if file is None:
            return f"{filename[:200]} had not been uploaded by {self._before.isoformat()}"
        if wanted == filename:
            return await self._download(file.url, filename, file.sha256)
        if file.metadata_sha256 is None:
            return f"the index offers no metadata of {wanted[:200]}"
        return await self._download(f"{file.url.partition('#')[0]}.metadata", filename, file.metadata_sha256)

    async def _listing(self, package: str) -> Blob:
        url = f"{self._index.url.rstrip('/')}/{quote(package, safe='')}/"
        content = await repeated(lambda: self._read(url))
        entries, files = as_of(content, url, self._before)
        self._files[package] = {file.filename: file for file in files}
        for entry, file in zip(entries, files, strict=True):
            entry["url"] = f"{INSIDE_URL}/snapshot/{self._name}/files/{package}/{quote(file.filename)}"
            if file.metadata_sha256 is not None:
                entry["core-metadata"] = {"sha256": file.metadata_sha256}
        versions = sorted({file.filename.split("-")[1] for file in files if "-" in file.filename})
        wire: dict[str, Any] = {
            "meta": {"api-version": "1.1"},
            "name": package,
            "versions": versions,
            "files": entries,
        }
        shown = msgspec.json.encode(wire)
        return await self._store.add(_once(shown), what=package, max_bytes=len(shown))

    async def _read(self, url: str) -> bytes:
        accept = (("accept", SIMPLE_JSON),)
        async with self._open(url, MAX_LISTING_BYTES, accept) as opened:
            return b"".join([chunk async for chunk in opened.chunks])

    async def _download(self, url: str, name: str, sha256: str) -> Blob:
        stored = await self._store.verified(sha256)
        if stored is not None:
            return stored

        async def attempt() -> Blob:
            async with self._open(url, MAX_FILE_BYTES, ()) as opened:
                return await self._store.add(
                    opened.chunks, what=name, max_bytes=MAX_FILE_BYTES, sha256=sha256
                )

        return await repeated(attempt)

    def _open(self, url: str, most: int, headers: tuple[tuple[str, str], ...]) -> Any:
        if self._downloader is None:
            raise AssertionError("a snapshot is only made where there is a downloader")
        return self._downloader.open(url.partition("#")[0], max_bytes=most, headers=headers)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
