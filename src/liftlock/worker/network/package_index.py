"""A package index inside the sandbox: PyPI's simple API and npm's registry, answered from verified files only.

Source: the simple repository API (HTML and JSON), npm's registry API.
"""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import msgspec

from liftlock.domain.inputs.requirements import normal_name
from liftlock.domain.inputs.served import ServedFile
from liftlock.errors import LiftlockError
from liftlock.ports.input_store import InputStore
from liftlock.worker.network.connection import Connection
from liftlock.worker.network.record import NetworkRecord

PORT = 8074
"""Inside the sandbox, on 127.0.0.1."""
INSIDE_URL = f"http://127.0.0.1:{PORT}"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_READ_BYTES = 1 << 18
Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True):
    """What is answered: `content`, or the store's file `path`."""

    content_type: str
    content: bytes = b""
    path: str | None = None
    size: int = 0


class Part(Protocol):
    """Answers what lies below one path."""

    async def find(self, path: str, accept: str) -> Answer | str:
        """Return the answer, or why there is none."""
        ...


class PackageIndex:
    """Answers for one run: GET and HEAD, each path by the part that begins it."""

    def __init__(self, parts: dict[str, Part], record: NetworkRecord) -> None:
        self._parts = parts
        self._record = record

    async def answer(self, connection: Connection) -> None:
        """Serve the requests of one connection."""
        while (request := await connection.request()) is not None:
            method, target = request.method.decode("ascii"), request.target.decode("ascii", "replace")
            accept = b",".join(value for name, value in request.headers if name == b"accept").decode(
                "latin-1"
            )
            async for _ in connection.body():
                pass
            found = await self._find(method, unquote(target.partition("?")[0]), accept)
            if isinstance(found, str):
                self._record.refuse(method, target, found)
                await connection.refuse(404 if method in ("GET", "HEAD") else 405, found)
                return
            await _send(connection, found, whole=method == "GET")
            if not connection.ready_for_next():
                return

    async def _find(self, method: str, path: str, accept: str) -> Answer | str:
        if method not in ("GET", "HEAD"):
            return "only GET and HEAD"
        for begin, part in self._parts.items():
            if path.startswith(begin):
                try:
                    return await part.find(path[len(begin) :], accept)
                except LiftlockError as error:
                    return error.message
        return "this index has only what the task's lock files name"


async def _send(connection: Connection, found: Answer, *, whole: bool) -> None:
    size = found.size if found.path is not None else len(found.content)
    headers = [
        (b"content-type", found.content_type.encode("latin-1", "replace")),
        (b"content-length", str(size).encode()),
    ]
    await connection.answer(200, headers, _content(found) if whole else _nothing())


async def _content(found: Answer) -> AsyncIterator[bytes]:
    if found.path is None:
        yield found.content
        return
    with Path(found.path).open("rb") as file:  # noqa: ASYNC230 -- a local file, as short as a read of the socket
        while chunk := file.read(_READ_BYTES):
            yield chunk


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk


class LockedSimple:
    """PyPI's simple API over the files of pip inputs; below `/simple/`."""

    def __init__(self, files: list[ServedFile]) -> None:
        self._files = [one for one in files if one.kind == "pypi"]

    async def find(self, path: str, accept: str) -> Answer | str:
        """Answer the list of packages or of one package's files."""
        name = path.strip("/")
        if not name:
            names = sorted({one.package for one in self._files})
            return _listing(accept, None, [{"name": each} for each in names])
        files = [one.file for one in self._files if one.package == normal_name(name)]
        if not files:
            return f"{name[:100]} is not in the task's lock files"
        listed = [
            {
                "filename": file.name,
                "url": f"{INSIDE_URL}/files/{file.sha256}/{quote(file.name)}",
                "hashes": {"sha256": file.sha256},
                "size": file.size,
            }
            for file in files
        ]
        return _listing(accept, normal_name(name), listed)


class LockedFiles:
    """The files themselves, below `/files/<sha256>/`; measured again if the store was touched."""

    def __init__(self, files: list[ServedFile], store: InputStore) -> None:
        self._digests = {(one.file.sha256, one.file.name) for one in files}
        self._store = store

    async def find(self, path: str, accept: str) -> Answer | str:
        """Answer one file."""
        sha256, _, name = path.partition("/")
        if (sha256, name) not in self._digests:
            return "no such file in the task's lock files"
        blob = await self._store.verified(sha256)
        if blob is None:
            return f"{name} is no longer in the worker's store"
        return Answer("application/octet-stream", path=blob.path, size=blob.size)


class LockedNpm:
    """npm's registry over the packages of npm inputs; below `/npm/`."""

    def __init__(self, files: list[ServedFile], integrity: dict[str, str]) -> None:
        self._files = [one for one in files if one.kind == "npm"]
        self._integrity = integrity

    async def find(self, path: str, accept: str) -> Answer | str:
        """Answer a package's document."""
        versions: dict[str, Any] = {}
        for one in self._files:
            if one.package == path:
                version = str(one.metadata["version"])
                dist = {
                    "tarball": f"{INSIDE_URL}/files/{one.file.sha256}/{quote(one.file.name)}",
                    "integrity": self._integrity[one.file.sha256],
                }
                versions[version] = {"name": path, "dist": dist} | one.metadata
        if not versions:
            return f"{path[:100]} is not in the task's lock files"
        document = {"name": path, "dist-tags": {"latest": list(versions)[-1]}, "versions": versions}
        return Answer("application/json", msgspec.json.encode(document))


def _listing(accept: str, name: str | None, items: list[dict[str, Any]]) -> Answer:
    """Return a list of packages (`name` None) or of a package's files, as JSON where that is accepted."""
    if SIMPLE_JSON in accept:
        wire: dict[str, Any] = {"meta": {"api-version": "1.1"}}
        if name is None:
            wire["projects"] = items
        else:
            versions = sorted({one["filename"].split("-")[1] for one in items if "-" in one["filename"]})
            wire |= {"name": name, "files": items, "versions": versions}
        return Answer(SIMPLE_JSON, msgspec.json.encode(wire))
    lines = [_anchor(one) for one in items]
    page = "<!DOCTYPE html><html><body>\n" + "\n".join(lines) + "\n</body></html>\n"
    return Answer("text/html; charset=utf-8", page.encode())


def _anchor(one: dict[str, Any]) -> str:
    if "filename" not in one:
        return f'<a href="/simple/{html.escape(one["name"])}/">{html.escape(one["name"])}</a>'
    url = html.escape(f"{one['url']}#sha256={one['hashes']['sha256']}")
    return f'<a href="{url}">{html.escape(one["filename"])}</a>'
