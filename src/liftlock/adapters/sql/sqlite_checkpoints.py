"""Moving the pages of SQLite's write-ahead log into the database, beside the writer and not in its way.

SQLite itself would do it within a commit, while every caller waits for the disk. Here another connection, in a thread of
its own, moves what is there; then the writer moves the few pages that came meanwhile, so that the log begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import apsw

PAGES: Final = 4000
"""Pages of the log from which on it is moved: 16 MB."""


class Checkpoints:
    """Watches the log of `writer`. To be used from one event loop, but for `after_commit`."""

    def __init__(self, writer: apsw.Connection, beside: apsw.Connection) -> None:
        """Take over from SQLite; `beside` is a connection to the same database that nobody else uses."""
        self._writer = writer
        self._beside = beside
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-checkpoint")
        self._pages = 0
        self._moving: asyncio.Future[None] | None = None
        self._moved = False
        writer.wal_autocheckpoint(0)
        writer.set_wal_hook(self._grown)

    def _grown(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """Move the rest, if most was moved; in the thread that commits."""
        if self._moved:
            self._moved = False
            with contextlib.suppress(
                apsw.Error
            ):  # another process reads or checkpoints: the next turn tries again
                self._writer.wal_checkpoint()

    def look(self) -> None:
        """Begin to move the log's pages if they are many."""
        if self._pages >= PAGES and self._moving is None and not self._moved:
            loop = asyncio.get_running_loop()
            self._moving = loop.run_in_executor(self._thread, self._move)
            self._moving.add_done_callback(self._end)

    def _move(self) -> None:
        with contextlib.suppress(apsw.Error):
            self._beside.wal_checkpoint()

    def _end(self, _done: object) -> None:
        self._moving, self._moved = None, True

    async def close(self) -> None:
        """Wait for what is moved now, and release the connection."""
        if self._moving is not None:
            await self._moving
        self._thread.shutdown()
        self._writer.set_wal_hook(None)
        self._beside.close()
