"""Declaring artifacts and filling them: fenced by the run's claim, atomic with what readers see."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from liftlock.adapters.sql.artifact_rows import (
    COLUMNS,
    KEY,
    OBJECT,
    artifact_of,
    created_event,
    find,
    object_of,
    values_of,
    writable,
)
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_rows import publish, text
from liftlock.domain.tasks.artifacts import Artifact, Content, Create, Declared, Same, admit
from liftlock.domain.tasks.lifecycle import Conflict
from liftlock.errors import ConflictError, InputInvalidError, NotFoundError
from liftlock.ports.artifact_store import StoredObject, Ticket

_FILLED = "blob = $4, stored_bytes = $5, encoding = $6, sha256 = $7, length = $8, sha512 = $9"


def declare_script(
    key: tuple[str, int, str], declared: Declared, upload_id: str | None, ticket: Ticket | None, now_ms: int
) -> Script[Artifact]:
    """Return the artifact of `key` (task, run, name) as it now is."""
    task = yield from writable(key[0], key[1], now_ms)
    existing = yield from find(*key)
    verdict = admit(existing, declared)
    match verdict:
        case Conflict():
            raise ConflictError(verdict.message)
        case Same():
            if existing is None:
                raise ConflictError("the artifact vanished")
            artifact = existing
            if verdict.extend_to_ms is not None:
                yield Sql(f"UPDATE artifact SET expires = $4 WHERE {KEY}", (*key, verdict.extend_to_ms))  # noqa: S608 -- constants
                artifact = msgspec.structs.replace(existing, declared=declared)
        case Create():
            artifact = Artifact(key[2], declared, None, upload_id)
            yield _insert(key, artifact)
            if artifact.visible:
                yield from publish([created_event(task, key[1], artifact)])
        case _:
            assert_never(verdict)
    if ticket is not None:
        yield insert_ticket(ticket)
    return artifact


def _insert(key: tuple[str, int, str], artifact: Artifact) -> Sql:
    declared = artifact.declared
    return Sql(
        "INSERT INTO artifact(task_id, run_id, name, storage, content_type, expires, target, reason, message,"
        " upload_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT (task_id, run_id, name) DO UPDATE SET storage = excluded.storage,"
        " content_type = excluded.content_type, expires = excluded.expires, target = excluded.target,"
        " reason = excluded.reason, message = excluded.message, upload_id = excluded.upload_id",
        (
            *key,
            declared.storage,
            declared.content_type,
            declared.expires_ms,
            declared.target,
            declared.reason,
            declared.message,
            artifact.upload_id,
        ),
    )


def insert_ticket(ticket: Ticket) -> Sql:
    """Return the statement that makes `ticket` valid."""
    return Sql(
        "INSERT INTO upload_ticket(token, kind, task_id, run_id, name, content_type, expires, blob)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)",
        (
            ticket.token,
            ticket.kind,
            ticket.task_id,
            ticket.run_id,
            ticket.name,
            ticket.content_type,
            ticket.expires_ms,
        ),
    )


def ticket_of(row: tuple[Any, ...]) -> Ticket:
    """Return the ticket of a row of its columns in order."""
    return Ticket(*row)


def fill_script(token: str, content: Content, now_ms: int) -> Script[None]:
    """Let what the ticket is for have `content`, and use the ticket up."""
    rows = yield Sql(
        "SELECT token, kind, task_id, run_id, name, content_type, expires, blob FROM upload_ticket"
        " WHERE token = $1 {for_update}",
        (token,),
    )
    if not rows or rows[0][6] <= now_ms:
        raise NotFoundError("this upload address is not valid any more; ask for a new one")
    ticket = ticket_of(rows[0])
    if ticket.blob is not None:
        _expect_same(ticket.blob, content, "this upload address was used")
        return
    if ticket.kind == "object":
        yield from fill_object(ticket.name, None, content)
    else:
        yield from _fill_artifact((ticket.task_id, ticket.run_id, ticket.name), content, now_ms)
    yield Sql("UPDATE upload_ticket SET blob = $2 WHERE token = $1", (token, content.blob))


def _fill_artifact(key: tuple[str, int, str], content: Content, now_ms: int) -> Script[None]:
    task = yield from writable(key[0], key[1], now_ms)
    artifact = yield from find(*key)
    if artifact is None or artifact.declared.storage != "s3":
        raise NotFoundError("the artifact of this upload is gone")
    if artifact.content is not None:
        _expect_same(artifact.content.blob, content, f"artifact {key[2]!r} has its bytes")
        return
    yield Sql(f"UPDATE artifact SET {_FILLED} WHERE {KEY}", (*key, *values_of(content)))  # noqa: S608 -- constants
    filled = msgspec.structs.replace(artifact, content=content)
    yield from publish([created_event(task, key[1], filled)])


def _expect_same(blob: str, content: Content, what: str) -> None:
    if blob != content.blob:
        raise ConflictError(f"{what}, and these are other ones; artifacts are immutable")


def finish_artifact_script(
    key: tuple[str, int, str], upload_id: str, object_name: str, now_ms: int
) -> Script[None]:
    """Make an object artifact visible with the content of its finished object."""
    task = yield from writable(key[0], key[1], now_ms)
    rows = yield Sql(f"SELECT {COLUMNS} FROM artifact WHERE {KEY}", key)  # noqa: S608 -- constants
    if not rows:
        raise NotFoundError(f"run {key[1]} of task {key[0]} has no artifact {key[2]!r}")
    artifact = artifact_of(rows[0])
    if artifact.declared.storage != "object":
        raise InputInvalidError(
            f"artifact {key[2]!r} is of storageType {artifact.declared.storage}; only those of type object are finished"
        )
    if artifact.upload_id != upload_id:
        raise InputInvalidError(f"uploadId: it is not that of artifact {key[2]!r}")
    if artifact.content is not None:
        return
    found = yield from object_named(object_name)
    if found is None or not found.finished or found.content is None:
        raise ConflictError(f"artifact {key[2]!r}: its upload to the object service is not finished")
    yield Sql(f"UPDATE artifact SET {_FILLED} WHERE {KEY}", (*key, *values_of(found.content)))  # noqa: S608 -- constants
    yield from publish(
        [created_event(task, key[1], msgspec.structs.replace(artifact, content=found.content))]
    )


def object_named(name: str) -> Script[StoredObject | None]:
    """Return the object, locked until the transaction ends."""
    rows = yield Sql(f"SELECT {OBJECT} FROM object WHERE name = $1 {{for_update}}", (name,))  # noqa: S608 -- constants
    return object_of(rows[0]) if rows else None


def begin_object_script(wanted: StoredObject, ticket: Ticket | None) -> Script[StoredObject]:
    """Return the object `wanted`, made now or before."""
    yield Sql(
        "INSERT INTO object(name, project_id, upload_id, content_type, expires, hashes, finished)"
        " VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT DO NOTHING",
        (
            wanted.name,
            wanted.project_id,
            wanted.upload_id,
            wanted.content_type,
            wanted.expires_ms,
            text(wanted.hashes),
        ),
    )
    found = yield from object_named(wanted.name)
    if found is None:
        raise ConflictError("the object vanished")
    same = (found.project_id, found.upload_id, found.expires_ms) == (
        wanted.project_id,
        wanted.upload_id,
        wanted.expires_ms,
    )
    if not same or found.finished:
        raise ConflictError(f"object {wanted.name!r} exists with other properties, or is finished")
    hashes = _merged(found.hashes, wanted.hashes)
    yield Sql(
        "UPDATE object SET hashes = $2, content_type = $3 WHERE name = $1",
        (wanted.name, text(hashes), wanted.content_type),
    )
    if ticket is not None:
        yield insert_ticket(ticket)
    return msgspec.structs.replace(found, hashes=hashes, content_type=wanted.content_type)


def fill_object(name: str, upload_id: str | None, content: Content) -> Script[None]:
    """Let the unfinished object have `content`; `upload_id` None: a ticket vouches for it."""
    found = yield from object_named(name)
    if found is None or (upload_id is not None and found.upload_id != upload_id):
        raise ConflictError(f"object {name!r}: there is no such upload")
    if found.content is not None:
        _expect_same(found.content.blob, content, f"object {name!r} has its bytes")
        return
    yield Sql(
        "UPDATE object SET blob = $2, stored_bytes = $3, encoding = $4, sha256 = $5, length = $6, sha512 = $7"
        " WHERE name = $1",
        (name, *values_of(content)),
    )


def finish_object_script(name: str, project_id: str, upload_id: str, hashes: dict[str, str]) -> Script[None]:
    """Mark the object complete if its bytes have all hashes that were ever said."""
    found = yield from object_named(name)
    if found is None or (found.project_id, found.upload_id) != (project_id, upload_id):
        raise NotFoundError(f"object {name!r}: there is no such upload")
    said = _merged(found.hashes, hashes)
    if found.content is None:
        raise ConflictError(f"object {name!r}: no bytes were uploaded")
    measured = {"sha256": found.content.sha256, "sha512": found.content.sha512}
    wrong = sorted(name for name, value in said.items() if measured.get(name) != value)
    if wrong:
        raise ConflictError(f"object {name!r}: the uploaded bytes have another {', '.join(wrong)}")
    yield Sql("UPDATE object SET finished = 1, hashes = $2 WHERE name = $1", (name, text(measured)))


def _merged(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    for name, value in new.items():
        if old.get(name, value) != value:
            raise ConflictError(f"hashes.{name}: it was said to be another one before")
    return {**old, **new}
