"""A task's artifacts, after its tree is dead: opened without following links, measured and sent from one descriptor."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.places import OWN
from liftlock.errors import ConflictError, LiftlockError
from liftlock.ports.queue_client import Missing, QueueClient, QueueUnavailableError, RunKey, Upload
from liftlock.ports.sandbox import FileProblem, Rejected, Sandbox, Scratch
from liftlock.worker.content_types import content_type, is_text
from liftlock.worker.payload import RESERVED_ARTIFACTS, ArtifactSpec

MAX_FILES = 20_000
"""In one directory artifact."""
MAX_NAME = 1024
_READ_BYTES = 1 << 20
_REASONS: dict[FileProblem, Missing] = {
    "absent": "file-missing-on-worker",
    "not-a-file": "invalid-resource-on-worker",
    "symlink": "invalid-resource-on-worker",
    "outside": "invalid-resource-on-worker",
    "bad-path": "invalid-resource-on-worker",
    "too-large": "too-large-file-on-worker",
    "too-many": "too-large-file-on-worker",
}


class Sent(msgspec.Struct, frozen=True):
    """One uploaded artifact, as measured (uncompressed)."""

    name: str
    sha256: str
    size: int


class Collector:
    """Collects for one run; `spool` is a directory of the worker's for compressed copies."""

    def __init__(
        self,
        *,
        queue: QueueClient,
        sandbox: Sandbox,
        scratch: Scratch,
        run: RunKey,
        credentials: Callable[[], Credentials],
        note: Callable[[str], None],
        held: Callable[[], Awaitable[bool]],
        spool: Path,
    ) -> None:
        self._queue = queue
        self._sandbox = sandbox
        self._scratch = scratch
        self._run = run
        self._credentials = credentials
        self._note = note
        self._held = held
        self._spool = spool
        self.sent: list[Sent] = []

    async def collect(self, specs: tuple[ArtifactSpec, ...]) -> bool:
        """Upload what is declared; return whether all of it was there. Each that is not gets an artifact that says why.

        Raises:
            ConflictError: the run is no longer ours.
            QueueUnavailableError: the control plane did not take them, repeatedly.
        """
        complete = True
        for spec in specs:
            collect = self._file if spec.type == "file" else self._directory
            complete = await collect(spec) and complete
        return complete

    async def _file(self, spec: ArtifactSpec) -> bool:
        return await self._upload(spec, spec.name, spec.path)

    async def _directory(self, spec: ArtifactSpec) -> bool:
        found = await self._sandbox.list_files(self._scratch, spec.path, max_entries=MAX_FILES)
        if isinstance(found, Rejected):
            return await self._failed(spec, spec.name, _REASONS[found.problem], found.message)
        complete = True
        below = "" if spec.path == "." else f"{spec.path}/"
        for file in found:
            if not below and file.path.startswith(f"{OWN}/"):
                continue  # not in /build, as the task sees it
            name = f"{spec.name}/{file.path.removeprefix(below)}"
            wrong = _wrong_name(name)
            if wrong is not None:
                self._note(f"artifact {name[:200]!r}: {wrong}")
                complete = False
            else:
                complete = await self._upload(spec, name, file.path) and complete
        return complete

    async def _upload(self, spec: ArtifactSpec, name: str, path: str) -> bool:
        opened = await self._sandbox.open_file(self._scratch, path, max_bytes=spec.max_bytes)
        if isinstance(opened, Rejected):
            return await self._failed(spec, name, _REASONS[opened.problem], opened.message)
        try:
            self.sent.append(await self._send(spec, name, opened.fd, opened.size))
        except LiftlockError as error:
            return await self._refused(name, error)
        finally:
            os.close(opened.fd)
        return True

    async def _refused(self, name: str, error: LiftlockError) -> bool:
        """Go on after one artifact was refused; raise if it is the whole run that is over, or nobody answers."""
        if isinstance(error, QueueUnavailableError):
            raise error
        if isinstance(error, ConflictError) and not await self._held():
            raise error
        self._note(f"artifact {name}: the control plane refused it ({error.code}): {error.message}")
        return False

    async def _send(self, spec: ArtifactSpec, name: str, fd: int, size: int) -> Sent:
        kind = content_type(name)
        with tempfile.TemporaryFile(dir=self._spool) as packed:
            compressed = packed.fileno() if is_text(kind) else None
            sha256 = await asyncio.to_thread(measure, fd, size, compressed)
            sent_fd, sent_size = fd, size
            if compressed is not None:
                sent_fd, sent_size = compressed, os.fstat(compressed).st_size
            await self._queue.upload(
                self._run,
                self._credentials(),
                Upload(name, kind, spec.expires, sent_fd, sent_size, gzip=compressed is not None),
            )
        self._note(f"artifact {name}: {size} bytes, sha256 {sha256}")
        return Sent(name, sha256, size)

    async def _failed(self, spec: ArtifactSpec, name: str, reason: Missing, message: str) -> bool:
        message = message.replace(f"'{OWN}/", "'/", 1)  # as the task sees it
        self._note(f"artifact {name}: {message}")
        try:
            await self._queue.error_artifact(
                self._run, self._credentials(), name, reason, message, spec.expires
            )
        except LiftlockError as error:
            await self._refused(name, error)
        return False


def _wrong_name(name: str) -> str | None:
    if name in RESERVED_ARTIFACTS:
        return "this name is the worker's own; the file was not uploaded"
    if len(name) > MAX_NAME or not name.isascii() or not name.isprintable():
        return f"expected a name of at most {MAX_NAME} printable ASCII characters; the file was not uploaded"
    return None


def measure(fd: int, size: int, compressed: int | None) -> str:
    """Return the sha256 of the first `size` bytes behind `fd`; with `compressed`, also write them there as gzip."""
    digest = hashlib.sha256()
    raw = None if compressed is None else os.fdopen(os.dup(compressed), "wb")
    out = (
        None if raw is None else gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6)
    )
    try:
        offset = 0
        while offset < size and (chunk := os.pread(fd, min(_READ_BYTES, size - offset), offset)):
            digest.update(chunk)
            offset += len(chunk)
            if out is not None:
                out.write(chunk)
    finally:
        if out is not None and raw is not None:
            out.close()
            raw.close()
    return digest.hexdigest()
