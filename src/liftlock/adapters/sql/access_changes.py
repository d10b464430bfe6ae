"""Scripts that change clients and roles: one change, or many in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from liftlock.adapters.sql.access_rows import (
    CLIENT_COLUMNS,
    ROLE_COLUMNS,
    advance,
    client_values,
    scopes_text,
)
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import ConflictError, NotFoundError
from liftlock.ports.access_store import AccessWrite, ClientRecord, DeleteEntity, RoleRecord
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import to_ms


def changes(writes: Sequence[AccessWrite], actor: str, envelope: Envelope) -> Script[None]:
    """Make the changes in order; each takes the version after the one before."""
    taken = 0
    for write in writes:
        if isinstance(write, DeleteEntity):
            if write.kind == "client":
                taken += yield from delete_client(write.id, envelope, taken)
            else:
                taken += yield from delete_role(write.id, actor, envelope, taken)
            continue
        if isinstance(write.record, ClientRecord):
            yield from put_client(write.record, envelope, taken, create=write.create)
        else:
            yield from put_role(write.record, actor, envelope, taken, create=write.create)
        taken += 1


def put_client(record: ClientRecord, envelope: Envelope, taken: int = 0, *, create: bool) -> Script[None]:
    """Insert or replace the client; errors as `AccessStore.put_client`."""
    yield from advance(envelope, "client", record.client_id, taken)
    if create:
        rows = yield Sql(
            f"INSERT INTO access_client({CLIENT_COLUMNS}) VALUES"  # noqa: S608 -- constant columns
            " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1) ON CONFLICT DO NOTHING RETURNING 1",
            client_values(record),
        )
        if not rows:
            raise ConflictError(f"client {record.client_id} exists already")
        return
    rows = yield Sql(
        "UPDATE access_client SET description = $2, sealed_token = $3, scopes = $4, expires = $5,"
        " disabled = $6, delete_on_expiration = $7, created = $8, last_modified = $9, last_used = $10,"
        " last_rotated = $11, version = version + 1 WHERE client_id = $1 RETURNING 1",
        client_values(record),
    )
    if not rows:
        raise NotFoundError(f"client {record.client_id} does not exist")


def delete_client(client_id: str, envelope: Envelope, taken: int = 0) -> Script[bool]:
    """Delete the client; return whether it existed."""
    rows = yield Sql("DELETE FROM access_client WHERE client_id = $1 RETURNING 1", (client_id,))
    if rows:
        yield from advance(envelope, "client", client_id, taken)
    return bool(rows)


def put_role(
    record: RoleRecord, actor: str, envelope: Envelope, taken: int = 0, *, create: bool
) -> Script[None]:
    """Insert or replace the role and keep the version; errors as `AccessStore.put_role`."""
    yield from advance(envelope, "role", record.role_id, taken)
    version = yield from _next_role_version(record.role_id)
    values = (
        record.role_id,
        record.description,
        scopes_text(record.scopes),
        to_ms(record.created),
        to_ms(record.last_modified),
        version,
    )
    if create:
        rows = yield Sql(
            f"INSERT INTO access_role({ROLE_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)"  # noqa: S608 -- constant
            " ON CONFLICT DO NOTHING RETURNING 1",
            values,
        )
        if not rows:
            raise ConflictError(f"role {record.role_id} exists already")
    else:
        rows = yield Sql(
            "UPDATE access_role SET description = $2, scopes = $3, created = $4, last_modified = $5,"
            " version = $6 WHERE role_id = $1 RETURNING 1",
            values,
        )
        if not rows:
            raise NotFoundError(f"role {record.role_id} does not exist")
    yield _keep_version((record.role_id, version, actor, to_ms(envelope.now), record.description, values[2]))


def delete_role(role_id: str, actor: str, envelope: Envelope, taken: int = 0) -> Script[bool]:
    """Delete the role and keep its versions; return whether it existed."""
    rows = yield Sql("DELETE FROM access_role WHERE role_id = $1 RETURNING 1", (role_id,))
    if rows:
        yield from advance(envelope, "role", role_id, taken)
        version = yield from _next_role_version(role_id)
        yield _keep_version((role_id, version, actor, to_ms(envelope.now), "", None))
    return bool(rows)


def _next_role_version(role_id: str) -> Script[int]:
    rows = yield Sql(
        "SELECT COALESCE(MAX(version), 0) + 1 FROM access_role_version WHERE role_id = $1", (role_id,)
    )
    return int(rows[0][0])


def _keep_version(values: tuple[Any, ...]) -> Sql:
    return Sql(
        "INSERT INTO access_role_version(role_id, version, actor, at, description, scopes)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        values,
    )
