"""A folder that everybody may put files into and only liftlock may list: a ring is one file, renamed into place.

Whoever can push can write here, so every file is taken for hostile: no link is followed, nothing but a small regular
file is read, and whatever it is, it is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from liftlock.domain.pushes.ringing import MAX_BYTES, parse_left_ring
from liftlock.errors import InputInvalidError
from liftlock.ports.doorbells import Ring

MODE: Final = 0o1733
SUFFIX: Final = ".ring"
MAX_TAKEN: Final = 1_000
"""Files looked at in one turn."""


class DropBox:
    """Implements `ports.doorbells.Doorbells` in the folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, path: Path) -> DropBox:
        """Return the drop box, its folder made and opened to everybody's writing if it belongs to us."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid == os.geteuid():
            path.chmod(MODE)
        return cls(path)

    async def take(self) -> list[Ring]:
        return await asyncio.to_thread(self._take)

    def _take(self) -> list[Ring]:
        found: list[tuple[int, Ring]] = []
        try:
            with os.scandir(self.path) as entries:
                names = [entry.name for _, entry in zip(range(MAX_TAKEN), entries, strict=False)]
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            for name in names:
                if not name.endswith(SUFFIX):
                    continue
                with contextlib.suppress(OSError, InputInvalidError):
                    found.append(_read(folder, name))
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)
        return [ring for _, ring in sorted(found, key=lambda pair: pair[0])]


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
