"""Wheelhouse in a directory: wheels are measured when they are asked for, and again whenever a file changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from liftlock.domain.inputs.wheels import parse_file_name

_READ_BYTES = 1 << 18
_Stamp = tuple[int, int, int]


class DirectoryWheelhouse:
    """A flat directory of `*.whl` files; others are ignored."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._measured: dict[str, tuple[_Stamp, str]] = {}

    def candidates(self, name: str) -> dict[str, str]:
        """Return sha256 → file name of the wheels of a package."""
        found: dict[str, str] = {}
        for entry in sorted(os.scandir(self._directory), key=lambda one: one.name):
            wheel = parse_file_name(entry.name)
            if wheel is not None and wheel.name == name and entry.is_file():
                found[self._digest(entry)] = entry.name
        return found

    def _digest(self, entry: os.DirEntry[str]) -> str:
        facts = entry.stat()
        stamp = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
        known = self._measured.get(entry.name)
        if known is None or known[0] != stamp:
            with open(entry.path, "rb") as file:
                known = (stamp, hashlib.file_digest(file, "sha256").hexdigest())
            self._measured[entry.name] = known
        return known[1]

    async def read(self, file: str) -> AsyncIterator[bytes]:
        """Yield a wheel's bytes."""
        with (self._directory / file).open("rb") as source:
            while chunk := source.read(_READ_BYTES):
                yield chunk
