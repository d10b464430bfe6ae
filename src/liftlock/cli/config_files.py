"""Configuration folders on disk: read whole, and never followed out of."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liftlock.cli.failures import UsageError
from liftlock.domain.configuration.reading import MAX_FILE_BYTES

CHECKS = "checks"
"""The folder of the operator's own checks, which are Python and no configuration."""
MAX_FILES = 20_000
_SUFFIXES = {".yml", ".yaml", ".toml"}


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of every YAML and TOML file by its path in the folder; hidden files are left out.

    Raises:
        UsageError: it is no folder, holds too much, or a file can't be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of configuration")
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or inside.parts[0] == CHECKS or path.suffix not in _SUFFIXES or path.is_dir():
            continue
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{path}: expected a regular file of at most {MAX_FILE_BYTES} bytes")
        if len(found) == MAX_FILES:
            raise UsageError(f"{folder}: more than {MAX_FILES} files")
        try:
            found[inside.as_posix()] = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of cycles off: among the hundred thousands of values of large files it takes most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
