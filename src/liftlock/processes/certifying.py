"""Certifies the keys of local workers, over one inherited socket each.

Which worker it is follows from the socket, so a worker gets a certificate for itself only. A request is 32 bytes, a
public key; nothing else of it is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Final

import msgspec
import structlog

from liftlock.adapters.keys.pool_keys import PoolKeys
from liftlock.domain.provenance.keys import KEY_BYTES
from liftlock.errors import StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy

DIRECTORY: Final = "keys"
_log = structlog.get_logger(__name__)


class Certifier:
    """Holds the keys of one pool; `level` is the highest that its workers may vouch for."""

    def __init__(self, state_dir: Path, pool: str, level: int, clock: Clock, entropy: Entropy) -> None:
        self._keys = PoolKeys(state_dir / DIRECTORY, entropy)
        self._pool = pool
        self._clock = clock
        self._ends: list[tuple[socket.socket, socket.socket, str, str]] = []
        self._keys.ensure(pool, level=level, now=clock.now())

    @property
    def published_path(self) -> Path:
        """Where the public halves of the keys are."""
        return self._keys.published_path

    def channel(self, worker_group: str, worker_id: str) -> int:
        """Return the descriptor that the worker inherits; this end is attended to once `attend` was called."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._ends.append((ours, theirs, worker_group, worker_id))
        return theirs.fileno()

    def attend(self) -> None:
        """Answer requests from now on, in the running event loop."""
        loop = asyncio.get_running_loop()
        for ours, _, worker_group, worker_id in self._ends:
            loop.add_reader(ours, self._answer, ours, worker_group, worker_id)

    def close(self) -> None:
        """Answer no more."""
        for ours, theirs, *_ in self._ends:
            asyncio.get_running_loop().remove_reader(ours)
            ours.close()
            theirs.close()
        self._ends.clear()

    def _answer(self, ours: socket.socket, worker_group: str, worker_id: str) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            public_key = ours.recv(KEY_BYTES + 1)
            if len(public_key) != KEY_BYTES:
                return
            try:
                envelope = self._keys.certify(
                    self._pool, worker_group, worker_id, public_key, now=self._clock.now()
                )
            except StorageError as error:
                _log.error("a worker's key was not certified", worker=worker_id, error=error.message)
                return
            ours.send(msgspec.json.encode(envelope))
