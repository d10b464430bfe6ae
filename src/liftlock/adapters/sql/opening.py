"""What is said when a database can't be opened: what, where and what to do; never a password."""

from __future__ import annotations

import re
from pathlib import Path

import apsw

from liftlock.errors import StorageError

_PLAIN_ADDRESS = re.compile(
    r"postgres(?:ql)?://(?:[^@/?#]*@)?([A-Za-z0-9._-]*(?::[0-9]+)?(?:/[A-Za-z0-9._-]*)?)(?:\?[^@]*)?\Z",
    re.ASCII,
)


def place_of(address: str) -> str:
    """Return host, port and database of a `postgresql://` address; "the given address" if it is not plain.

    An odd address is not shown in part either: what looks like a host in it may be a piece of the password.
    """
    match = _PLAIN_ADDRESS.match(address)
    return match[1] if match is not None and match[1] else "the given address"


def sqlite_unusable(path: Path, error: apsw.Error) -> StorageError:
    """Return what to raise if the database file at `path` can't be opened or brought up to date."""
    if isinstance(error, apsw.NotADBError | apsw.CorruptError):
        advice = "it is damaged: stop liftlock, put it aside with its -wal and -shm, and restore it from the backup"
    elif isinstance(error, apsw.FullError | apsw.IOError):
        advice = "make room on the disk and check that it works"
    else:
        advice = (
            "check that its owner may read and write it and its directory, and that no other program holds it"
        )
    return StorageError(f"the database {path} can't be used ({error}): {advice}")


def postgresql_unusable(address: str, error: Exception) -> StorageError:
    """Return what to raise if PostgreSQL at `address` can't be reached or refuses."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # its text may quote the address
        return StorageError(
            f"PostgreSQL at {place_of(address)}: --database is no valid address; expected"
            " postgresql://USER:PASSWORD@HOST:PORT/NAME, with special characters percent-encoded"
        )
    return StorageError(
        f"PostgreSQL at {place_of(address)} can't be used ({type(error).__name__}: {error}):"
        " check that the server runs there, and that user, password and database are right"
    )
