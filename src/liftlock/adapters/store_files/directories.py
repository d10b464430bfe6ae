"""Making sure that files and a directory's entries are on the disk; and which start of the machine this is."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """Return what is another text after every start of the machine."""
    return Path(_BOOT).read_text(encoding="ascii").strip()


def sync_file(path: Path) -> None:
    """Return once the file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Return once what was renamed into `path` is there after a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
