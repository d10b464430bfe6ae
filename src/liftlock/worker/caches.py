"""The writable caches of one run: opened before its inputs, told in the manifest, closed with its scratch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from liftlock.domain.inputs.caches import Granted, wire
from liftlock.domain.inputs.places import BUILD
from liftlock.domain.inputs.policy import CacheRule
from liftlock.ports.queue_client import QueueClient
from liftlock.ports.sandbox import CacheBind, CacheRequest, Sandbox, Scratch
from liftlock.values.instants import format_instant
from liftlock.worker.outcome import RunEndedError


class RunCaches:
    """Those of a run in `pool`; `told` grows as they are opened: what the manifest says of each."""

    def __init__(
        self, granted: tuple[Granted, ...], sandbox: Sandbox, queue: QueueClient, pool: str, rule: CacheRule
    ) -> None:
        self._granted = granted
        self._sandbox = sandbox
        self._queue = queue
        self._pool = pool
        self._rule = rule
        self._scratch: Scratch | None = None
        self.told: tuple[dict[str, Any], ...] = ()

    @property
    def binds(self) -> tuple[CacheBind, ...]:
        """Return what the sandbox is shown of them."""
        return tuple(CacheBind(one.key, one.path) for one in self._granted)

    async def open(self, scratch: Scratch, now: datetime) -> None:
        """Open all of them; those that somebody asked to purge since they were made are made anew.

        Raises:
            QueueUnavailableError: what is to be purged can't be known.
            SandboxFailedError: one can't be opened.
        """
        self._scratch = scratch
        purged = await self._queue.purge_requests(self._pool) if self._granted else {}
        for one in self._granted:
            opened = await self._sandbox.open_cache(
                CacheRequest(
                    scratch,
                    one.key,
                    now,
                    purged.get(one.name),
                    max_bytes=self._rule.max_bytes,
                    store_bytes=self._rule.store_bytes,
                )
            )
            said = wire(one, self._pool, made=format_instant(opened.made), fresh=opened.fresh)
            self.told = (*self.told, said)

    async def purge(self) -> None:
        """Have all of them removed once the run is over."""
        if self._scratch is not None:
            for one in self._granted:
                await self._sandbox.drop_cache(self._scratch, one.key)

    def check_root(self, root: str | None, own: tuple[str, ...]) -> None:
        """Raise RunEndedError if one has no place in the unpacked image `root` (None: the host's /usr) nor in `own`."""
        for one in self._granted:
            if one.path.startswith(f"{BUILD}/") or one.path.split("/")[1] in own:
                continue
            top, *below = Path(one.path).parts[1:]
            if root is None or not below or not (Path(root) / top).exists():
                continue
            place = Path(root)
            for part in (top, *below):
                place /= part
                if place.is_symlink() or not place.is_dir():
                    raise RunEndedError(
                        "malformed-payload",
                        f"malformed payload: the cache {one.name} lies at {one.path}, where the image has no directory;"
                        f" expected a path below {BUILD}, or one that the image has",
                    )
