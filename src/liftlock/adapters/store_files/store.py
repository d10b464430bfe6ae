"""InputStore in a directory: `blobs/sha256/<hex>`, `trees/<hex>`; everything appears whole or not at all.

Blobs are written beside their place, measured while written, and renamed; they go to the disk meanwhile and afterwards,
and until they are there a marker says so (see `unsettled`). Trees are filled by the sandbox's own user under a name that
starts with `.new-` and renamed; after the machine was restarted they are made anew, since their files were not synced.

Source: docs/adr/0024-inputs-are-used-before-they-are-on-the-disk.md
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from liftlock.adapters.store_files.measuring import Measuring
from liftlock.adapters.store_files.trees import FileTrees
from liftlock.adapters.store_files.unsettled import Unsettled
from liftlock.adapters.store_files.writing import Writing
from liftlock.ports.entropy import Entropy
from liftlock.ports.input_store import Blob, StoreDamagedError

DEFAULT_MAX_BYTES = 50 << 30
KEPT_S = 6 * 3600.0
"""Blobs that were needed within so long before the newest one are never removed."""
_Stamp = tuple[int, int, int, int]
"""Of a file as it was measured: inode, size, times of its content and of the file itself, which nobody can set."""


class FileInputStore:
    """One worker's store; no other process writes to it."""

    def __init__(
        self,
        directory: Path,
        entropy: Entropy,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_tree_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._entropy = entropy
        self._max_bytes = max_bytes
        self._blobs = directory / "blobs" / "sha256"
        self._fresh = directory / "incoming"
        self._long = directory / "sha512"
        self._stamps: dict[str, _Stamp] = {}
        self._measured_long: set[str] = set()
        for path in (self._blobs, self._fresh, self._long):
            path.mkdir(parents=True, exist_ok=True, mode=0o755)
        for left in self._fresh.iterdir():
            left.unlink()
        self._unsettled = Unsettled(directory / "unsettled", self._blobs)
        self._bytes = sum(entry.stat().st_size for entry in os.scandir(self._blobs))
        self._trees = FileTrees(directory, entropy, max_bytes=max_tree_bytes)

    async def add(
        self,
        chunks: AsyncIterator[bytes],
        *,
        what: str,
        max_bytes: int,
        sha256: str | None = None,
        sha512: str | None = None,
        size: int | None = None,
    ) -> Blob:
        """Store what `chunks` gives; see the port."""
        fresh = self._fresh / self._entropy.token_bytes(12).hex()
        most = max_bytes if size is None else min(max_bytes, size)
        measuring = Measuring(what, most, long=sha512 is not None)
        try:
            await self._write(fresh, chunks, measuring, sha256=sha256, sha512=sha512, size=size)
            measured = measuring.sha256
            target = self._blobs / measured
            if not target.exists():
                self._bytes += measuring.size
            self._unsettled.mark(measured)
            try:
                fresh.rename(target)
                self._stamps[measured] = _stamp(target.stat())
            finally:
                self._unsettled.settle(measured)
            if sha512 is not None:
                self._remember(sha512, measured)
            self._make_room()
        finally:
            fresh.unlink(missing_ok=True)
        return Blob(measured, measuring.size, str(target))

    async def _write(
        self,
        fresh: Path,
        chunks: AsyncIterator[bytes],
        measuring: Measuring,
        *,
        sha256: str | None,
        sha512: str | None,
        size: int | None,
    ) -> None:
        writing = Writing(fresh, measuring)
        try:
            async for chunk in chunks:
                await writing.take(chunk)
            await writing.finish()
            measuring.check(sha256=sha256, sha512=sha512, size=size)
        finally:
            await writing.close()

    def blob(self, sha256: str) -> Blob | None:
        """Return a stored blob."""
        path = self._blobs / sha256
        try:
            facts = path.stat()
            with contextlib.suppress(PermissionError):  # somebody put the file there anew, root for example
                os.utime(path)  # it is needed again: keep it longer
            if self._stamps.get(sha256) == _stamp(facts):
                self._stamps[sha256] = _stamp(path.stat())
        except FileNotFoundError:
            return None
        return Blob(sha256, facts.st_size, str(path))

    async def verified(self, sha256: str) -> Blob | None:
        """Return a stored blob that still measures its name; see the port."""
        path = self._blobs / sha256
        try:
            facts = path.stat()
            if self._stamps.get(sha256) != _stamp(facts):
                measured = await asyncio.to_thread(_measure, path)
                if measured != sha256:
                    raise StoreDamagedError(
                        f"the worker's store was changed: declared sha256 {sha256}, observed {measured}"
                        f" ({facts.st_size} bytes)"
                    )
                self._stamps[sha256] = _stamp(facts)
        except FileNotFoundError:
            return None
        return self.blob(sha256)

    async def known_by_sha512(self, sha512: str) -> str | None:
        """Return the sha256 of a blob that measured `sha512`; see the port."""
        try:
            sha256 = (self._long / sha512).read_text(encoding="ascii")
            if sha512 not in self._measured_long:
                measured = await asyncio.to_thread(_measure, self._blobs / sha256, "sha512")
                if measured != sha512:
                    return None
                self._measured_long.add(sha512)
        except OSError:
            return None
        return sha256

    def _remember(self, sha512: str, sha256: str) -> None:
        fresh = self._fresh / self._entropy.token_bytes(12).hex()
        fresh.write_text(sha256, encoding="ascii")
        fresh.rename(self._long / sha512)
        self._measured_long.add(sha512)

    def _make_room(self) -> None:
        """Remove the blobs that were not needed for longest while there are too many bytes; none of a run under way.

        What a sandbox is shown stays there for it, removed or not; only the time between is covered by `KEPT_S`.
        """
        if self._bytes <= self._max_bytes:
            return
        found = [(entry.stat(), entry.path) for entry in os.scandir(self._blobs)]
        newest = max(facts.st_mtime for facts, _ in found)
        for facts, path in sorted(found, key=lambda one: one[0].st_mtime):
            if self._bytes <= self._max_bytes or facts.st_mtime > newest - KEPT_S:
                return
            os.unlink(path)
            self._bytes -= facts.st_size

    def tree(self, digest: str, holder: str) -> str | None:
        """Return a complete tree, held for `holder`; see the port."""
        return self._trees.tree(digest, holder)

    def new_tree_name(self) -> str:
        """Return an unused name for a tree in the making."""
        return self._trees.new_name()

    def commit_tree(self, name: str, digest: str, holder: str, size: int) -> str:
        """Make a complete tree known; see the port."""
        return self._trees.commit(name, digest, holder, size)

    def wait_for_disk(self) -> None:
        """Return once all blobs are on the disk, for whoever wants to know when; nothing has to wait for it."""
        self._unsettled.wait()

    def release_trees(self, holder: str) -> None:
        """Hold nothing for `holder` any more."""
        self._trees.release(holder)

    def surplus_trees(self) -> tuple[str, ...]:
        """Return what is to be removed; see the port."""
        return self._trees.surplus()


def _stamp(facts: os.stat_result) -> _Stamp:
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _measure(path: Path, algorithm: str = "sha256") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
