"""Rows of hooks and fires, to and from records; and how they commit with other changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from liftlock.adapters.sql.envelope_script import audit_rows_at
from liftlock.adapters.sql.records import record_script, records_script
from liftlock.adapters.sql.script import Each, Script, Sql
from liftlock.errors import ConflictError, StaleSnapshotError
from liftlock.ports.envelope import AuditRecord, Verdict
from liftlock.ports.hook_store import (
    AddHook,
    DropHook,
    FireRecord,
    HookRecord,
    PutHook,
    ReplaceHook,
    ScheduleAdvance,
)
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode, encode

HOOK_COLUMNS = "hook_group_id, hook_id, document, version, sealed_token, managed, next_task_id, next_fire, created, modified"
FIRE_COLUMNS = (
    "hook_group_id, hook_id, at, actor, fired_by, payload_digest, hook_version, task_id, result, error"
)
INSERT_HOOK = f"INSERT INTO hook({HOOK_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"  # noqa: S608 -- constant columns


def hook_of(row: tuple[Any, ...]) -> HookRecord:
    """Return the record of a row of `HOOK_COLUMNS`."""
    _group, _hook, document, version, token, managed, next_task_id, next_fire, created, modified = row
    return HookRecord(
        document=decode(document.encode(), what="hook"),
        version=version,
        sealed_token=token,
        managed=bool(managed),
        next_task_id=next_task_id,
        next_fire=None if next_fire is None else from_ms(next_fire),
        created=from_ms(created),
        modified=from_ms(modified),
    )


def hook_values(hook: HookRecord) -> tuple[Any, ...]:
    """Return the values of `HOOK_COLUMNS`."""
    return (
        hook.hook_group_id,
        hook.hook_id,
        encode(hook.document).decode(),
        hook.version,
        hook.sealed_token,
        int(hook.managed),
        hook.next_task_id,
        None if hook.next_fire is None else to_ms(hook.next_fire),
        to_ms(hook.created),
        to_ms(hook.modified),
    )


def fire_of(row: tuple[Any, ...]) -> FireRecord:
    """Return the record of a row of `FIRE_COLUMNS` and the id."""
    group, hook, at, *rest = row
    return FireRecord(group, hook, from_ms(at), *rest)


@records_script(FireRecord)
def insert_fires(fires: Sequence[FireRecord]) -> Script[None]:
    """Insert the fires, and the audit record of each."""
    yield Each(
        f"INSERT INTO hook_fire({FIRE_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",  # noqa: S608 -- constant columns
        [_fire_values(fire) for fire in fires],
    )
    yield audit_rows_at([(_fire_audit(fire), to_ms(fire.at)) for fire in fires])


def _fire_values(fire: FireRecord) -> tuple[Any, ...]:
    return (
        fire.hook_group_id,
        fire.hook_id,
        to_ms(fire.at),
        fire.actor,
        fire.fired_by,
        fire.payload_digest,
        fire.hook_version,
        fire.task_id,
        fire.result,
        fire.error,
    )


def _fire_audit(fire: FireRecord) -> AuditRecord:
    details = {
        "firedBy": fire.fired_by,
        "payloadDigest": fire.payload_digest,
        "hookVersion": fire.hook_version,
        "taskId": fire.task_id,
        "result": fire.result,
        "error": fire.error[:500],
    }
    subject = f"hook/{fire.hook_group_id}/{fire.hook_id}"
    verdict: Verdict = "refused" if fire.result == "error" else "allowed"
    return AuditRecord(fire.actor, "hooks.fire", subject, verdict, details, fire.authority)


@record_script(ScheduleAdvance)
def advance_schedule(step: ScheduleAdvance) -> Script[None]:
    """Move the hook to its next scheduled fire, unless it was moved already."""
    rows = yield Sql(
        "UPDATE hook SET next_fire = $4, next_task_id = $5"
        " WHERE hook_group_id = $1 AND hook_id = $2 AND next_fire = $3 RETURNING 1",
        (
            step.hook_group_id,
            step.hook_id,
            to_ms(step.fired),
            None if step.next_fire is None else to_ms(step.next_fire),
            step.next_task_id,
        ),
    )
    if not rows:
        raise StaleSnapshotError("the hook's schedule was advanced meanwhile")


@record_script(PutHook)
def put_hook(put: PutHook) -> Script[None]:
    """Insert the hook or make it as given; the token stays, unless somebody else made the hook and may know it."""
    yield Sql(
        f"{INSERT_HOOK} ON CONFLICT (hook_group_id, hook_id) DO UPDATE SET document = excluded.document,"
        " version = excluded.version, managed = excluded.managed, next_task_id = excluded.next_task_id,"
        " sealed_token = CASE WHEN hook.managed = excluded.managed THEN hook.sealed_token"
        " ELSE excluded.sealed_token END,"
        " next_fire = excluded.next_fire, modified = excluded.modified WHERE hook.version <> excluded.version"
        " OR hook.managed <> excluded.managed",
        hook_values(put.hook),
    )


@record_script(AddHook)
def add_hook(add: AddHook) -> Script[None]:
    """Insert the hook; raise ConflictError if it exists."""
    rows = yield Sql(f"{INSERT_HOOK} ON CONFLICT DO NOTHING RETURNING 1", hook_values(add.hook))
    if not rows:
        raise ConflictError(f"hook {add.hook.name} exists already; update it instead")


@record_script(ReplaceHook)
def replace_hook(replace: ReplaceHook) -> Script[None]:
    """Replace the hook; raise StaleSnapshotError if it is another one than expected."""
    group, hook, document, version, _token, managed, task_id, fire, _created, modified = hook_values(
        replace.hook
    )
    rows = yield Sql(
        "UPDATE hook SET document = $4, version = $5, managed = $6, next_task_id = $7, next_fire = $8,"
        " modified = $9 WHERE hook_group_id = $1 AND hook_id = $2 AND version = $3 RETURNING 1",
        (group, hook, replace.expected, document, version, managed, task_id, fire, modified),
    )
    if not rows:
        raise StaleSnapshotError(f"hook {replace.hook.name} was changed meanwhile")


@record_script(DropHook)
def drop_hook(drop: DropHook) -> Script[None]:
    """Delete the hook if it is there."""
    yield from delete_hook(drop.hook_group_id, drop.hook_id)


def delete_hook(hook_group_id: str, hook_id: str) -> Script[bool]:
    """Delete the hook; return whether it existed."""
    rows = yield Sql(
        "DELETE FROM hook WHERE hook_group_id = $1 AND hook_id = $2 RETURNING 1", (hook_group_id, hook_id)
    )
    return bool(rows)
