"""InputStore in a directory: `blobs/sha256/<hex>`, `trees/<hex>`; everything appears whole or not at all.

Blobs are written beside their place, measured while written, synced and renamed. Trees are filled by the sandbox's
own user under a name that starts with `.new-` and renamed; after the machine was restarted they are made anew, since
their files were not synced one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from liftlock.ports.entropy import Entropy
from liftlock.ports.input_store import Blob, InputRejectedError

DEFAULT_MAX_BYTES = 50 << 30
KEPT_S = 6 * 3600.0
"""Blobs that were needed within so long before the newest one are never removed."""
_BOOT = "/proc/sys/kernel/random/boot_id"


class FileInputStore:
    """One worker's store; no other process writes to it."""

    def __init__(self, directory: Path, entropy: Entropy, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._entropy = entropy
        self._max_bytes = max_bytes
        self._blobs = directory / "blobs" / "sha256"
        self._fresh = directory / "incoming"
        self._trees = directory / "trees"
        for path in (self._blobs, self._fresh, self._trees):
            path.mkdir(parents=True, exist_ok=True, mode=0o755)
        for left in self._fresh.iterdir():
            left.unlink()
        self._bytes = sum(entry.stat().st_size for entry in os.scandir(self._blobs))
        self._forget_trees_of_another_boot(directory / "boot")

    async def add(
        self, chunks: AsyncIterator[bytes], *, what: str, max_bytes: int, sha256: str | None = None
    ) -> Blob:
        """Store what `chunks` gives; see the port."""
        fresh = self._fresh / self._entropy.token_bytes(12).hex()
        digest, size = hashlib.sha256(), 0
        try:
            with fresh.open("xb") as out:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > max_bytes:
                        raise InputRejectedError(f"{what}: it has more than {max_bytes} bytes")
                    digest.update(chunk)
                    out.write(chunk)
                measured = digest.hexdigest()
                if sha256 is not None and measured != sha256:
                    raise InputRejectedError(
                        f"{what}: declared sha256 {sha256}, observed {measured} ({size} bytes)"
                    )
                out.flush()
                os.fchmod(out.fileno(), 0o444)
                await asyncio.to_thread(os.fsync, out.fileno())
            target = self._blobs / measured
            if not target.exists():
                self._bytes += size
            fresh.rename(target)
            _sync_directory(self._blobs)
            self._make_room()
        finally:
            fresh.unlink(missing_ok=True)
        return Blob(measured, size, str(target))

    def blob(self, sha256: str) -> Blob | None:
        """Return a stored blob."""
        path = self._blobs / sha256
        try:
            os.utime(path)  # it is needed again: keep it longer
            return Blob(sha256, path.stat().st_size, str(path))
        except FileNotFoundError:
            return None

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

    def tree(self, digest: str) -> str | None:
        """Return the path of a complete tree, or None."""
        path = self._trees / digest
        return str(path) if path.is_dir() else None

    def new_tree_name(self) -> str:
        """Return an unused name for a tree in the making."""
        return f".new-{self._entropy.token_bytes(12).hex()}"

    def commit_tree(self, name: str, digest: str) -> str:
        """Make a complete tree known; see the port."""
        target = self._trees / digest
        with contextlib.suppress(
            OSError
        ):  # it exists and is not empty: the same content, made by another slot
            (self._trees / name).rename(target)
        if not target.is_dir():
            raise InputRejectedError(f"the tree {digest} could not be kept")
        _sync_directory(self._trees)
        return str(target)

    def _forget_trees_of_another_boot(self, marker: Path) -> None:
        boot = Path(_BOOT).read_text(encoding="ascii").strip()
        known = marker.read_text(encoding="ascii").strip() if marker.exists() else ""
        if known != boot:
            for tree in self._trees.iterdir():
                if not tree.name.startswith(".new-"):
                    # The sandbox's launcher removes what has such a name, at its next start at the latest.
                    tree.rename(self._trees / self.new_tree_name())
            marker.write_text(f"{boot}\n", encoding="ascii")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
