"""Decide a push again whose decision failed: after its role was given what it lacked, say."""

from __future__ import annotations

from datetime import datetime

from liftlock.domain.pushes.push import Push
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.push_store import PushStore
from liftlock.services.authorize import Caller
from liftlock.services.watch_pushes import WatchPushes
from liftlock.values.ids import project_name


class RetryDecision:
    """Makes a failed decision pending again. What it is decided from is the push as recorded, with today's roles."""

    def __init__(self, store: PushStore, watch: WatchPushes) -> None:
        self._store = store
        self._watch = watch

    async def __call__(self, caller: Caller, project: str, push_id: int, now: datetime) -> Push:
        """Return the push, pending.

        Raises:
            RefusedError: the caller lacks `pushes:retry-decision:<project>`.
            NotFoundError: there is no such push, or no such project any more.
            ConflictError: its decision has not failed.
        """
        caller.require(f"pushes:retry-decision:{project_name(project)}")
        if await self._store.project(project) is None:
            raise NotFoundError(f"there is no project {project}")
        audit = caller.record("pushes.retryDecision", f"project/{project}/push/{push_id}")
        reopened = await self._store.reopen(project, push_id, caller.envelope(now, audit))
        found = await self._store.push(project, push_id)
        if found is None:
            raise NotFoundError(f"there is no push {push_id} in the log of {project}")
        if not reopened:
            raise ConflictError(f"push {push_id} of {project}: its decision is {found.decision}, not failed")
        await self._watch.ring(project, ())
        return found
