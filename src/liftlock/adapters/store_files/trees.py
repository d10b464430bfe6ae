"""Trees of the store: `trees/<digest>`, their sizes and last uses in `sizes/<digest>`; those in use are never removed.

A tree that gives way is first renamed to `.new-…`, which nobody looks up, and then removed by the sandbox's launcher; if
the worker is killed between, the next launcher does it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from liftlock.adapters.store_files.directories import boot_id, sync_directory
from liftlock.ports.entropy import Entropy
from liftlock.ports.input_store import InputRejectedError

_IN_THE_MAKING = ".new-"


class FileTrees:
    """Those below `directory`, at most about `max_bytes` of them."""

    def __init__(self, directory: Path, entropy: Entropy, *, max_bytes: int) -> None:
        self._entropy = entropy
        self._max_bytes = max_bytes
        self._trees = directory / "trees"
        self._sizes = directory / "sizes"
        self._held: dict[str, set[str]] = {}
        for path in (self._trees, self._sizes):
            path.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._forget_those_of_another_boot(directory / "boot")
        self._bytes = self._known_sizes()

    def tree(self, digest: str, holder: str) -> str | None:
        """Return a complete tree, held for `holder`; see the port."""
        path = self._trees / digest
        if not path.is_dir():
            return None
        self._hold(digest, holder)
        with contextlib.suppress(OSError):
            os.utime(self._sizes / digest)
        return str(path)

    def new_name(self) -> str:
        """Return an unused name."""
        return f"{_IN_THE_MAKING}{self._entropy.token_bytes(12).hex()}"

    def commit(self, name: str, digest: str, holder: str, size: int) -> str:
        """Make a tree known; see the port."""
        target, told = self._trees / digest, self._sizes / digest
        fresh = self._sizes / self.new_name()
        fresh.write_text(str(size), encoding="ascii")
        fresh.rename(told)
        with contextlib.suppress(
            OSError
        ):  # it exists and is not empty: the same content, made by another slot
            (self._trees / name).rename(target)
        if not target.is_dir():
            raise InputRejectedError(f"the tree {digest} could not be kept")
        sync_directory(self._trees)
        self._bytes[digest] = size
        self._hold(digest, holder)
        return str(target)

    def release(self, holder: str) -> None:
        """Hold nothing for `holder` any more."""
        for digest in [each for each, holders in self._held.items() if holder in holders]:
            self._held[digest].discard(holder)
            if not self._held[digest]:
                del self._held[digest]

    def surplus(self) -> tuple[str, ...]:
        """Take away the least lately used trees while there are too many bytes, but none that is held; see the port."""
        total = sum(self._bytes.values())
        if total <= self._max_bytes:
            return ()
        taken = []
        for digest in sorted(set(self._bytes) - set(self._held), key=self._last_used):
            if total <= self._max_bytes:
                break
            name = self.new_name()
            with contextlib.suppress(FileNotFoundError):
                (self._trees / digest).rename(self._trees / name)
                taken.append(name)
            (self._sizes / digest).unlink(missing_ok=True)
            total -= self._bytes.pop(digest)
        return tuple(taken)

    def _hold(self, digest: str, holder: str) -> None:
        self._held.setdefault(digest, set()).add(holder)

    def _last_used(self, digest: str) -> float:
        try:
            return (self._sizes / digest).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _known_sizes(self) -> dict[str, int]:
        """Return digest → bytes of the trees that are there; what is said of others is removed."""
        there = {tree.name for tree in self._trees.iterdir() if not tree.name.startswith(_IN_THE_MAKING)}
        for told in list(self._sizes.iterdir()):
            if told.name not in there:
                told.unlink()
        return {digest: self._size(digest) for digest in there}

    def _size(self, digest: str) -> int:
        try:
            return int((self._sizes / digest).read_text(encoding="ascii"))
        except (OSError, ValueError):  # killed before it was said: measured instead
            pairs = os.walk(self._trees / digest)
            return sum(os.lstat(f"{root}/{file}").st_size for root, _, files in pairs for file in files)

    def _forget_those_of_another_boot(self, marker: Path) -> None:
        boot = boot_id()
        known = marker.read_text(encoding="ascii").strip() if marker.exists() else ""
        if known != boot:
            for tree in self._trees.iterdir():
                if not tree.name.startswith(_IN_THE_MAKING):
                    # The sandbox's launcher removes what has such a name, at its next start at the latest.
                    tree.rename(self._trees / self.new_name())
            marker.write_text(f"{boot}\n", encoding="ascii")
