"""Clients and roles in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from liftlock.adapters.sql.access_changes import changes, delete_client, delete_role, put_client, put_role
from liftlock.adapters.sql.access_rows import CLIENT_COLUMNS, ROLE_COLUMNS, client_of, role_of, scopes_of
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.ports.access_store import (
    AccessChanges,
    AccessWrite,
    ClientRecord,
    HistoryEntry,
    RoleRecord,
    RoleVersion,
)
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode

_ABOVE = "\x7f"
"""Greater than every character of an id, which is printable ASCII: `prefix` + this ends the range of a prefix."""


class SqlAccessStore:
    """Implements `ports.access_store.AccessStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def since(self, version: int) -> AccessChanges | None:
        def script() -> Script[AccessChanges | None]:
            present = int((yield Sql("SELECT version FROM access_version"))[0][0])
            if present == version:
                return None
            clients: list[ClientRecord] = []
            gone: list[str] = []
            if version == 0:
                rows = yield Sql(f"SELECT {CLIENT_COLUMNS} FROM access_client")  # noqa: S608 -- constant columns
                clients = [client_of(row) for row in rows]
                roles_changed = True
            else:
                changed = yield Sql(
                    "SELECT DISTINCT kind, id FROM access_change WHERE version > $1", (version,)
                )
                for client_id in sorted(row[1] for row in changed if row[0] == "client"):
                    found = yield _client(client_id)
                    clients += [client_of(row) for row in found]
                    gone += [] if found else [client_id]
                roles_changed = any(row[0] == "role" for row in changed)
            roles = None
            if roles_changed:
                rows = yield Sql(f"SELECT {ROLE_COLUMNS} FROM access_role ORDER BY role_id")  # noqa: S608 -- constant
                roles = tuple(role_of(row) for row in rows)
            return AccessChanges(present, tuple(clients), tuple(gone), roles)

        return await self._engine.read(script)

    async def client(self, client_id: str) -> ClientRecord | None:
        def script() -> Script[ClientRecord | None]:
            rows = yield _client(client_id)
            return client_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def list_clients(self, *, prefix: str, after: str, limit: int) -> list[ClientRecord]:
        def script() -> Script[list[ClientRecord]]:
            rows = yield _page("access_client", "client_id", CLIENT_COLUMNS, prefix, after, limit)
            return [client_of(row) for row in rows]

        return await self._engine.read(script)

    async def put_client(self, record: ClientRecord, envelope: Envelope, *, create: bool) -> None:
        await self._engine.write(lambda: put_client(record, envelope, create=create), envelope)

    async def delete_client(self, client_id: str, envelope: Envelope) -> bool:
        return await self._engine.write(lambda: delete_client(client_id, envelope), envelope)

    async def touch_clients(self, client_ids: Iterable[str], at: datetime) -> None:
        touched = sorted(client_ids)

        def script() -> Script[None]:
            for client_id in touched:
                yield Sql(
                    "UPDATE access_client SET last_used = $2 WHERE client_id = $1", (client_id, to_ms(at))
                )

        await self._engine.write(script, None)

    async def expired_clients(self, now: datetime, *, limit: int) -> list[str]:
        def script() -> Script[list[str]]:
            rows = yield Sql(
                "SELECT client_id FROM access_client WHERE delete_on_expiration = 1 AND expires <= $1"
                " ORDER BY expires LIMIT $2",
                (to_ms(now), limit),
            )
            return [row[0] for row in rows]

        return await self._engine.read(script)

    async def role(self, role_id: str) -> RoleRecord | None:
        def script() -> Script[RoleRecord | None]:
            rows = yield Sql(f"SELECT {ROLE_COLUMNS} FROM access_role WHERE role_id = $1", (role_id,))  # noqa: S608 -- constant
            return role_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def list_roles(self, *, prefix: str, after: str, limit: int) -> list[RoleRecord]:
        def script() -> Script[list[RoleRecord]]:
            rows = yield _page("access_role", "role_id", ROLE_COLUMNS, prefix, after, limit)
            return [role_of(row) for row in rows]

        return await self._engine.read(script)

    async def put_role(self, record: RoleRecord, actor: str, envelope: Envelope, *, create: bool) -> None:
        await self._engine.write(lambda: put_role(record, actor, envelope, create=create), envelope)

    async def delete_role(self, role_id: str, actor: str, envelope: Envelope) -> bool:
        return await self._engine.write(lambda: delete_role(role_id, actor, envelope), envelope)

    async def change(self, writes: Sequence[AccessWrite], actor: str, envelope: Envelope) -> None:
        await self._engine.write(lambda: changes(writes, actor, envelope), envelope)

    async def role_versions(self, role_id: str) -> list[RoleVersion]:
        def script() -> Script[list[RoleVersion]]:
            rows = yield Sql(
                "SELECT version, actor, at, description, scopes FROM access_role_version WHERE role_id = $1"
                " ORDER BY version",
                (role_id,),
            )
            return [
                RoleVersion(
                    row[0], row[1], from_ms(row[2]), row[3], None if row[4] is None else scopes_of(row[4])
                )
                for row in rows
            ]

        return await self._engine.read(script)

    async def history(self, subject: str, *, before: int, limit: int) -> list[HistoryEntry]:
        def script() -> Script[list[HistoryEntry]]:
            rows = yield Sql(
                "SELECT id, at, actor, action, details FROM audit WHERE subject = $1 AND id < $2"
                " ORDER BY id DESC LIMIT $3",
                (subject, before, limit),
            )
            return [
                HistoryEntry(row[0], from_ms(row[1]), row[2], row[3], decode(row[4].encode(), what="details"))
                for row in rows
            ]

        return await self._engine.read(script)


def _client(client_id: str) -> Sql:
    return Sql(f"SELECT {CLIENT_COLUMNS} FROM access_client WHERE client_id = $1", (client_id,))  # noqa: S608 -- constant


def _page(table: str, key: str, columns: str, prefix: str, after: str, limit: int) -> Sql:
    return Sql(
        f"SELECT {columns} FROM {table} WHERE {key} > $1 AND {key} >= $2 AND {key} < $3 ORDER BY {key} LIMIT $4",  # noqa: S608 -- constants of this module
        (after, prefix, prefix + _ABOVE, limit),
    )
