"""Up to where repositories were audited, a second time in a file of its own: it outlives damage to the database.

Source: docs/reference/gate.md#state-of-gated
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from liftlock.errors import MalformedPayloadError, StorageError
from liftlock.values.json import decode_as, encode

_Heads = dict[str, dict[str, str]]


class AuditedHeads:
    """The file `audited.json` beside the database at `database`: repository to ref to head."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name("audited.json")

    def of(self, repository: str) -> dict[str, str]:
        """Return the heads of a repository, none if it was never audited; raises StorageError if the file is damaged."""
        return self._read().get(repository, {})

    def put(self, repository: str, heads: Mapping[str, str]) -> None:
        """Replace them, durably; raises StorageError."""
        try:
            held = self._read()
        except StorageError:
            held = {}  # the database has them as well, and it was just written
        staged = self._path.with_name(f".{self._path.name}.new")
        try:
            with staged.open("wb") as file:
                file.write(encode({**held, repository: dict(heads)}))
                file.flush()
                os.fsync(file.fileno())
            staged.replace(self._path)
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error

    def _read(self) -> _Heads:
        try:
            return decode_as(self._path.read_bytes(), _Heads, what=str(self._path))
        except FileNotFoundError:
            return {}
        except (OSError, MalformedPayloadError) as error:
            raise StorageError(f"{self._path}: damaged: remove it, and audit again: {error}") from error


def last_put_aside(database: Path) -> int | None:
    """Return when the newest damaged database was put aside, in milliseconds since 1970, or None."""
    names = [path.name.rpartition("-")[2] for path in database.parent.glob(f"{database.name}.corrupt-*")]
    return max((int(name) for name in names if name.isdigit()), default=None)
