"""Files that hold private keys: mode 0600, regular, their owner's, replaced as a whole and durably."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from liftlock.errors import StorageError

MAX_KEY_FILE_BYTES: Final = 1 << 20


def read_private(path: Path) -> bytes | None:
    """Return the file's content, None if there is none.

    Raises:
        StorageError: it can't be read, is not a regular file of this user, or others may read or write it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"key file {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        is_private = stat.S_ISREG(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
        if not is_private or found.st_uid != os.geteuid():
            raise StorageError(
                f"key file {path}: expected a regular file of mode 0600 of uid {os.geteuid()},"
                f" got {stat.filemode(found.st_mode)} of uid {found.st_uid}"
            )
        return file.read(MAX_KEY_FILE_BYTES)


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put `content` at `path`, whole or not at all, durably.

    Raises:
        StorageError: it can't be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageError(f"key file {path}: {error.strerror}") from error
