"""Hooks as stored, and the record of every fire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from liftlock.domain.hooks.firing import FiredBy
from liftlock.ports.envelope import Envelope

FireResult = Literal["success", "error", "no-fire"]
"""A task was created; the fire failed; the template rendered to nothing."""


class HookRecord(msgspec.Struct, frozen=True):
    """A hook. `document` is its definition in wire form, `version` the digest of that.

    `sealed_token` is its trigger token, sealed for `hook/<group>/<hook>`. `managed`: liftlock made it and keeps it;
    nobody edits it, and its payload is bound to what liftlock recorded. `next_task_id` is the secret id of the task
    that the schedule creates next, at `next_fire` (None: nothing scheduled).
    """

    document: dict[str, Any]
    version: str
    sealed_token: str
    managed: bool
    next_task_id: str
    next_fire: datetime | None
    created: datetime
    modified: datetime

    @property
    def hook_group_id(self) -> str:
        """The first half of its name."""
        return str(self.document["hookGroupId"])

    @property
    def hook_id(self) -> str:
        """The second half of its name."""
        return str(self.document["hookId"])

    @property
    def name(self) -> str:
        """`<hookGroupId>/<hookId>`."""
        return f"{self.hook_group_id}/{self.hook_id}"


class FireRecord(msgspec.Struct, frozen=True):
    """One fire, kept for ever: who caused it, when, by which way, with what, and what came of it.

    `actor` is the client, `hooks/schedule`, or `hooks/token`; `payload_digest` the sha256 of the canonical payload
    (None: there was none); `hook_version` the digest of the definition that fired. `task_id` is the task's id, or the
    one it would have had. An envelope may carry a FireRecord among its records; it also leaves an audit record.
    """

    hook_group_id: str
    hook_id: str
    at: datetime
    actor: str
    fired_by: FiredBy
    payload_digest: str | None
    hook_version: str
    task_id: str
    result: FireResult
    error: str = ""
    id: int = 0
    """Grows with time; given by the store."""
    authority: dict[str, Any] = {}
    """By what the actor was allowed to fire, for the audit record."""


class ScheduleAdvance(msgspec.Struct, frozen=True):
    """For an envelope's records: the hook has fired for `fired`, and is due next at `next_fire`.

    Raises StaleSnapshotError inside the transaction if it is not due at `fired` any more: somebody else was faster.
    """

    hook_group_id: str
    hook_id: str
    fired: datetime
    next_fire: datetime | None
    next_task_id: str


class PutHook(msgspec.Struct, frozen=True):
    """For an envelope's records: the hook exists and is as `hook` says, whether it was there before or not.

    The trigger token of a managed hook stays; one of a hook that somebody else made is replaced, for they may know it.
    Meant for managed hooks, which come with the push that needs them.
    """

    hook: HookRecord


class AddHook(msgspec.Struct, frozen=True):
    """For an envelope's records: the hook is new. Raises ConflictError inside the transaction if it exists."""

    hook: HookRecord


class ReplaceHook(msgspec.Struct, frozen=True):
    """For an envelope's records: the hook whose version is `expected` becomes `hook`; token and creation stay.

    Raises StaleSnapshotError inside the transaction if it has another version, or is gone.
    """

    hook: HookRecord
    expected: str


class DropHook(msgspec.Struct, frozen=True):
    """For an envelope's records: the hook is deleted, if it is there; its fires are kept."""

    hook_group_id: str
    hook_id: str


class HookChanges(Protocol):
    """What changing hooks needs of their store."""

    async def hook(self, hook_group_id: str, hook_id: str) -> HookRecord | None:
        """Return the hook, or None."""
        ...

    async def create(self, record: HookRecord, envelope: Envelope) -> None:
        """Insert the hook; raise ConflictError if it exists."""
        ...

    async def replace(self, record: HookRecord, expected: str, envelope: Envelope) -> None:
        """Replace the hook whose version is `expected`; its token and time of creation stay.

        Raises:
            StaleSnapshotError: it has another version, or is gone.
        """
        ...

    async def delete(self, hook_group_id: str, hook_id: str, envelope: Envelope) -> bool:
        """Delete the hook and return whether it existed; its fires are kept."""
        ...


class HookStore(HookChanges, Protocol):
    """Keeps hooks and their fires. Listings are sorted by id."""

    async def groups(self) -> list[str]:
        """Return the groups that have a hook, sorted."""
        ...

    async def hooks_of(self, hook_group_id: str) -> list[HookRecord]:
        """Return the group's hooks."""
        ...

    async def bound(self) -> list[HookRecord]:
        """Return the hooks that have bindings, sorted."""
        ...

    async def every(self) -> list[HookRecord]:
        """Return all hooks, sorted by group and hook."""
        ...

    async def names(self) -> list[str]:
        """Return the name `<group>/<hook>` of every hook, sorted by group and hook."""
        ...

    async def unused(self, before: datetime, after: tuple[str, str], limit: int) -> list[HookRecord]:
        """Return managed hooks after (group, id) that were neither made, changed nor fired since `before`."""
        ...

    async def set_token(
        self, hook_group_id: str, hook_id: str, sealed_token: str, envelope: Envelope
    ) -> None:
        """Give the hook another trigger token; raise NotFoundError if it is gone."""
        ...

    async def due(self, now: datetime, limit: int) -> list[HookRecord]:
        """Return up to `limit` hooks whose `next_fire` is not after `now`, the longest due first."""
        ...

    async def commit(self, envelope: Envelope) -> None:
        """Commit the envelope alone: the record of a fire that created no task."""
        ...

    async def fires(self, hook_group_id: str, hook_id: str, *, before: int, limit: int) -> list[FireRecord]:
        """Return up to `limit` fires with an id less than `before`, the newest first."""
        ...
