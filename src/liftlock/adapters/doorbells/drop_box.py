"""A folder that everybody may put files into and only liftlock may list: a ring is one file, renamed into place.

Whoever can push can write here, so every file is taken for hostile: no link is followed, nothing but a small regular
file is read, and whatever it is, it is removed: at once if it is called like a ring, else when it is `STALE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Final

from liftlock.domain.pushes.ringing import MAX_BYTES, parse_left_ring
from liftlock.errors import InputInvalidError
from liftlock.ports.clock import Clock
from liftlock.ports.doorbells import Ring

MODE: Final = 0o1733
SUFFIX: Final = ".ring"
MAX_TAKEN: Final = 1_000
"""Rings read in one turn, and other things looked at."""
STALE: Final = timedelta(hours=1)
"""How long something that is no ring may lie here: rings are written under another name for a moment."""
_ASIDE: Final = ".aside-"
"""How the names of folders begin that could not be removed, as somebody put something into them."""


class DropBox:
    """Implements `ports.doorbells.Doorbells` in the folder `path`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    @classmethod
    def make(cls, path: Path, clock: Clock) -> DropBox:
        """Return the drop box, its folder made and opened to everybody's writing if it belongs to us."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid == os.geteuid():
            path.chmod(MODE)
        return cls(path, clock)

    async def take(self) -> list[Ring]:
        return await asyncio.to_thread(self._take)

    def _take(self) -> list[Ring]:
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        found: list[tuple[int, Ring]] = []
        try:
            rings, others = _names(folder)
            for name in rings:
                try:
                    with contextlib.suppress(OSError, InputInvalidError):
                        found.append(_read(folder, name))
                finally:
                    self._clear_away(folder, name)
            for name in others:
                if self._is_stale(folder, name):
                    self._clear_away(folder, name)
        finally:
            os.close(folder)
        return [ring for _, ring in sorted(found, key=lambda pair: pair[0])]

    def _clear_away(self, folder: int, name: str) -> None:
        """Remove whatever is called `name`; a folder that is not empty loses the name by which it is looked at."""
        for remove in (os.unlink, os.rmdir):
            with contextlib.suppress(OSError):
                remove(name, dir_fd=folder)
                return
        if name.endswith(SUFFIX) or not name.startswith(_ASIDE):
            with contextlib.suppress(OSError):
                number = os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
                aside = (
                    f"{_ASIDE}{self._clock.now().timestamp():.6f}-{number}"  # nobody can foresee and take it
                )
                os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)

    def _is_stale(self, folder: int, name: str) -> bool:
        with contextlib.suppress(OSError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            return self._clock.now().timestamp() - status.st_ctime > STALE.total_seconds()
        return False


def _names(folder: int) -> tuple[list[str], list[str]]:
    """Return names of rings and of other things, at most `MAX_TAKEN` of each kind: none keeps another from its turn."""
    rings: list[str] = []
    others: list[str] = []
    aside: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                names = rings
            else:
                names = aside if entry.name.startswith(_ASIDE) else others
            if len(names) < MAX_TAKEN:
                names.append(entry.name)
    return rings, others + aside


def _read(folder: int, name: str) -> tuple[int, Ring]:
    descriptor = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=folder
    )
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise InputInvalidError("ring: expected a small regular file")
        project, claims = parse_left_ring(os.read(descriptor, MAX_BYTES))
    finally:
        os.close(descriptor)
    return status.st_mtime_ns, Ring(project=project, claims=claims)
