"""Writable caches of slots on disk: each belongs to one slot, is open in one run at most, and outlives it.

An entry is called `c<slot>-<uid>-<key>-<made>`: a directory, or with `.img` a file system of its own. It appears by a rename
once it is whole. While a run has it open its name ends with `.used`: what a launcher that was killed left so is removed
at the next start, since nobody knows what state it is in.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from liftlock.adapters.sandbox.disk import Disk, Place, measure, mounted
from liftlock.adapters.sandbox.syscalls import unmount
from liftlock.adapters.sandbox.users import User
from liftlock.errors import SandboxFailedError

USED = ".used"
_ENTRY = re.compile(r"c([0-9]{1,4}-[0-9]{1,10})-([a-z0-9-]{1,80})-([0-9]{1,16})(\.img)?\Z", re.ASCII)
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,79}\Z", re.ASCII)
Clear = Callable[[Place], None]


@dataclass(slots=True)
class Held:
    """A cache that a run has open: `path` is bound into its sandbox. `dropped`: it is removed once the run is over."""

    entry: str
    path: str
    made_ms: int
    max_bytes: int
    max_entries: int
    dropped: bool = False

    def is_over(self) -> bool:
        """Tell whether it holds more than it may; a file system of its own never does."""
        used, entries = measure(self.path, max_bytes=self.max_bytes, max_entries=self.max_entries)
        return used > self.max_bytes or entries > self.max_entries


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run asks for: the cache `key`, unless it was made at `not_before_ms` or earlier; made anew at `now_ms`."""

    key: str
    now_ms: int
    not_before_ms: int
    max_bytes: int
    max_entries: int
    store_bytes: int


class Caches:
    """Those below `disk.directory`, which is ours alone; `clear` empties a directory with its owner's rights."""

    def __init__(self, disk: Disk, clear: Clear) -> None:
        self._disk = disk
        self._clear = clear
        for path in (disk.directory, disk.mounts):
            os.makedirs(path, mode=0o711, exist_ok=True)

    def settle(self, slots: tuple[User, ...]) -> None:
        """Remove what was being made or used when a launcher was killed, and what no slot of ours can use."""
        owners = {_owner(number, user) for number, user in enumerate(slots)}
        for name in os.listdir(self._disk.directory):
            match = _ENTRY.match(name)
            whole = match is not None and (match[4] is not None) == self._disk.own_filesystems
            if match is None or not whole or match[1] not in owners:
                self._remove(name)

    def open(self, slot: int, user: User, wanted: Wanted) -> tuple[Held, bool]:
        """Return the slot's cache of that key, and whether it was made just now.

        Raises:
            SandboxFailedError: the key is none, the cache is open already, or can't be made.
        """
        if _KEY.match(wanted.key) is None:
            raise SandboxFailedError(f"{wanted.key[:80]!r} cannot be the key of a cache")
        owner = _owner(slot, user)
        entry, made_ms = self._find(owner, wanted)
        fresh = entry is None
        try:
            if entry is None:
                self._make_room(owner, wanted.store_bytes)
                made_ms = wanted.now_ms
                entry = self._make(f"c{owner}-{wanted.key}-{made_ms}", user, wanted)
            path = f"{self._disk.directory}/{entry}"
            os.rename(path, path + USED)
            shown = self._shown(entry)
            if entry.endswith(".img"):
                mounted(path + USED, shown)
        except (OSError, subprocess.SubprocessError) as error:
            raise SandboxFailedError(f"the cache {wanted.key} cannot be opened: {error}") from error
        return Held(entry, shown, made_ms, wanted.max_bytes, wanted.max_entries), fresh

    def release(self, held: Held) -> None:
        """Close a cache in which nothing is alive: kept whole for the next run, or removed.

        Raises:
            OSError: something still uses it.
        """
        path = f"{self._disk.directory}/{held.entry}"
        if held.entry.endswith(".img"):
            unmount(held.path, 0)  # waits until all is written
            os.rmdir(held.path)
        elif not held.dropped:
            held.dropped = held.is_over()
        if held.dropped:
            self._remove(held.entry + USED)
            return
        os.utime(path + USED)
        os.rename(path + USED, path)

    def _find(self, owner: str, wanted: Wanted) -> tuple[str | None, int]:
        """Return the newest entry that fits; what is too old, or of the same key, is removed."""
        found = []
        for name in os.listdir(self._disk.directory):
            match = _ENTRY.match(name.removesuffix(USED))
            if match is None or (match[1], match[2]) != (owner, wanted.key):
                continue
            if name.endswith(USED):
                raise SandboxFailedError(f"the cache {wanted.key} is in use")
            found.append((int(match[3]), name))
        kept: tuple[str | None, int] = (None, 0)
        for made_ms, name in sorted(found, reverse=True):
            if kept[0] is None and made_ms > wanted.not_before_ms:
                kept = name, made_ms
            else:
                self._remove(name)
        return kept

    def _make(self, entry: str, user: User, wanted: Wanted) -> str:
        """Return the entry of a new cache; it has its name once it is whole."""
        place = self._disk.make(
            f"new-{entry}",
            uid=user.uid,
            gid=user.gid,
            max_bytes=wanted.max_bytes,
            max_entries=wanted.max_entries,
        )
        if place.image is None:
            os.rename(place.path, f"{self._disk.directory}/{entry}")
            return entry
        unmount(place.path, 0)
        os.rmdir(place.path)
        os.rename(place.image, f"{self._disk.directory}/{entry}.img")
        return f"{entry}.img"

    def _make_room(self, owner: str, most: int) -> None:
        """Remove the slot's caches that were used least lately while they hold more than `most` bytes."""
        found = []
        for name in os.listdir(self._disk.directory):
            match = _ENTRY.match(name)
            if match is None or match[1] != owner:
                continue
            path = f"{self._disk.directory}/{name}"
            facts = os.stat(path, follow_symlinks=False)
            size = (
                facts.st_blocks * 512 if match[4] else measure(path, max_bytes=most, max_entries=1 << 40)[0]
            )
            found.append((facts.st_mtime_ns, size, name))
        held = sum(size for _, size, _ in found)
        for _, size, name in sorted(found):
            if held <= most:
                return
            self._remove(name)
            held -= size

    def _shown(self, entry: str) -> str:
        """Return the directory that is bound: the entry itself, or where its file system is mounted."""
        return (
            f"{self._disk.mounts}/{entry}"
            if entry.endswith(".img")
            else f"{self._disk.directory}/{entry}{USED}"
        )

    def _remove(self, name: str) -> None:
        path = f"{self._disk.directory}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            self._clear(Place(path, None, 0, 0))
            os.rmdir(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _owner(slot: int, user: User) -> str:
    """Return whose a cache is: another user can't write what this one left, and another slot may run beside it."""
    return f"{slot}-{user.uid}"
