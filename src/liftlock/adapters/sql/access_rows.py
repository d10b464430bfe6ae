"""Rows of clients and roles, to and from records."""

from __future__ import annotations

from typing import Any

from liftlock.adapters.sql.script import Script, Sql, Wake
from liftlock.errors import StaleSnapshotError
from liftlock.ports.access_store import ClientRecord, EntityKind, RoleRecord
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode, encode

ACCESS_CHANNEL = "access"
"""Woken after each change of clients or roles."""

CLIENT_COLUMNS = (
    "client_id, description, sealed_token, scopes, expires, disabled, delete_on_expiration,"
    " created, last_modified, last_used, last_rotated, version"
)
ROLE_COLUMNS = "role_id, description, scopes, created, last_modified, version"


def scopes_text(scopes: tuple[str, ...]) -> str:
    """Return the column's form of `scopes`: a JSON list."""
    return encode(scopes).decode()


def scopes_of(text: str) -> tuple[str, ...]:
    """Return the scopes that a column holds."""
    return tuple(decode(text.encode(), what="scopes"))


def client_of(row: tuple[Any, ...]) -> ClientRecord:
    """Return the record of a row of `CLIENT_COLUMNS`."""
    (
        client_id,
        description,
        sealed,
        scopes,
        expires,
        disabled,
        delete,
        created,
        modified,
        used,
        rotated,
        version,
    ) = row
    return ClientRecord(
        client_id=client_id,
        description=description,
        sealed_token=sealed,
        scopes=scopes_of(scopes),
        expires=from_ms(expires),
        disabled=bool(disabled),
        delete_on_expiration=bool(delete),
        created=from_ms(created),
        last_modified=from_ms(modified),
        last_used=from_ms(used),
        last_rotated=from_ms(rotated),
        version=version,
    )


def client_values(record: ClientRecord) -> tuple[Any, ...]:
    """Return the row of `record`, in the order of `CLIENT_COLUMNS`, without its version."""
    return (
        record.client_id,
        record.description,
        record.sealed_token,
        scopes_text(record.scopes),
        to_ms(record.expires),
        int(record.disabled),
        int(record.delete_on_expiration),
        to_ms(record.created),
        to_ms(record.last_modified),
        to_ms(record.last_used),
        to_ms(record.last_rotated),
    )


def role_of(row: tuple[Any, ...]) -> RoleRecord:
    """Return the record of a row of `ROLE_COLUMNS`."""
    role_id, description, scopes, created, modified, version = row
    return RoleRecord(role_id, description, scopes_of(scopes), from_ms(created), from_ms(modified), version)


def advance(envelope: Envelope, kind: EntityKind, entity_id: str, taken: int = 0) -> Script[None]:
    """Take the next access version for a change of one entity.

    The row is locked until the commit, so that of two changes decided on the same version only one applies.

    Args:
        taken: How many versions the same transaction has taken before.
    Raises:
        StaleSnapshotError: the envelope's version is not the present one.
    """
    decided = envelope.access_version
    rows = yield Sql(
        "UPDATE access_version SET version = version + 1 WHERE version = $1 RETURNING version",
        (None if decided is None else decided + taken,),
    )
    if not rows:
        raise StaleSnapshotError("roles or clients changed while the request was decided")
    yield Sql(
        "INSERT INTO access_change(version, kind, id) VALUES ($1, $2, $3)", (rows[0][0], kind, entity_id)
    )
    yield Wake(ACCESS_CHANNEL)
