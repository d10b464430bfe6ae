"""Blobs that are whole and measured, and not yet on the disk: each has a marker until it is.

A killed worker loses nothing, since the kernel has the bytes. If the machine stops, they may be lost: so what has a marker
of an earlier start of the machine is removed before anybody looks at it, and fetched again when it is needed. The marker
is made before the blob has its name, and file systems with a journal keep that order.

Source: docs/adr/0024-inputs-are-used-before-they-are-on-the-disk.md
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from liftlock.adapters.store_files.directories import boot_id, sync_directory, sync_file


class Unsettled:
    """Markers in `directory` for the files of `blobs`. One thread brings them to the disk, in their order."""

    def __init__(self, directory: Path, blobs: Path) -> None:
        self._directory = directory
        self._blobs = blobs
        self._boot = boot_id()
        self._last: Future[None] | None = None
        self._lock = Lock()
        self._waiting: Counter[str] = Counter()
        self._thread = ThreadPoolExecutor(1, "store")
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        for marker in directory.iterdir():
            if marker.read_text(encoding="ascii", errors="replace") == self._boot:
                self.mark(marker.name)
                self.settle(marker.name)
            else:
                (blobs / marker.name).unlink(missing_ok=True)
                marker.unlink()

    def mark(self, name: str) -> None:
        """Say of a blob, which is about to get its name, that it is not on the disk. `settle` follows, once for each."""
        with self._lock:
            self._waiting[name] += 1
            (self._directory / name).write_text(self._boot, encoding="ascii")

    def settle(self, name: str) -> None:
        """Bring a blob to the disk, some time soon, and then say nothing of it any more."""
        self._last = self._thread.submit(self._settle, name)

    def wait(self) -> None:
        """Return once all that was to be settled is; for tests and measurements."""
        if self._last is not None:
            self._last.result()

    def _settle(self, name: str) -> None:
        try:
            sync_file(self._blobs / name)
            sync_directory(self._blobs)
        except FileNotFoundError:
            pass  # it gave way to others
        except OSError:
            (self._blobs / name).unlink(
                missing_ok=True
            )  # the disk did not take it: what the kernel still has may go
        with self._lock:
            self._waiting[name] -= 1
            if not self._waiting[name]:  # else it was written anew meanwhile, and is settled once more
                del self._waiting[name]
                (self._directory / name).unlink(missing_ok=True)
