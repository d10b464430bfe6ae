"""What is published of pools' keys, as a file that is read anew whenever it was replaced."""

from __future__ import annotations

import os
from pathlib import Path

from liftlock.adapters.keys.pool_keys import read_published
from liftlock.domain.provenance.keys import UntrustedError
from liftlock.domain.provenance.producers import Trust
from liftlock.domain.provenance.published import PUBLISHED_FORMAT, Published, trust_in
from liftlock.errors import StorageError

NOTHING = Published(PUBLISHED_FORMAT, (), ())


class PublishedKeys:
    """Implements `ports.trusted_keys.TrustedKeys` by the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._held: tuple[Published, Trust] | None = None

    def current(self) -> Trust:
        """Return what counts now; see the port."""
        return self._read()[1]

    def published(self) -> Published:
        """Return all that is published; see the port."""
        return self._read()[0]

    def _read(self) -> tuple[Published, Trust]:
        try:
            found = os.stat(self._path)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._held is None or stamp != self._seen:
                published = read_published(self._path)
                self._held, self._seen = (published, trust_in(published)), stamp
        except FileNotFoundError:
            return NOTHING, Trust(())
        except (OSError, UntrustedError) as error:
            raise StorageError(f"published keys {self._path}: {error}") from error
        return self._held
