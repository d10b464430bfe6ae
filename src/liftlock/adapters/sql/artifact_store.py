"""The store of artifacts on both databases."""

from __future__ import annotations

from liftlock.adapters.sql.artifact_rows import COLUMNS, OBJECT, artifact_of, find, object_of
from liftlock.adapters.sql.artifact_uploads import (
    begin_object_script,
    declare_script,
    fill_object,
    fill_script,
    finish_artifact_script,
    finish_object_script,
    ticket_of,
)
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.live_logs import append_script, read_script
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.tasks.artifacts import MAX_LINK_HOPS, Artifact, Content, Declared, object_name
from liftlock.ports.artifact_store import LogPart, StoredObject, Ticket
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import to_ms

_LOG_KEPT_MS = 60 * 60 * 1000
"""How long a live log stays after its final form is there, for those who still follow it."""


class SqlArtifactStore:
    """Implements `ports.artifact_store.ArtifactStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def declare(
        self,
        task_id: str,
        run_id: int,
        name: str,
        declared: Declared,
        upload_id: str | None,
        ticket: Ticket | None,
        envelope: Envelope,
    ) -> Artifact:
        key, now_ms = (task_id, run_id, name), to_ms(envelope.now)
        return await self._engine.write(
            lambda: declare_script(key, declared, upload_id, ticket, now_ms), envelope
        )

    async def ticket(self, token: str) -> Ticket | None:
        def script() -> Script[Ticket | None]:
            rows = yield Sql(
                "SELECT token, kind, task_id, run_id, name, content_type, expires, blob FROM upload_ticket"
                " WHERE token = $1",
                (token,),
            )
            return ticket_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def fill(self, token: str, content: Content, envelope: Envelope) -> None:
        await self._engine.write(lambda: fill_script(token, content, to_ms(envelope.now)), envelope)

    async def finish_artifact(
        self, task_id: str, run_id: int, name: str, upload_id: str, envelope: Envelope
    ) -> None:
        key, now_ms = (task_id, run_id, name), to_ms(envelope.now)
        await self._engine.write(
            lambda: finish_artifact_script(key, upload_id, object_name(*key), now_ms), envelope
        )

    async def chain(self, task_id: str, run_id: int, name: str) -> dict[str, Artifact]:
        def script() -> Script[dict[str, Artifact]]:
            found: dict[str, Artifact] = {}
            following: str | None = name
            while following is not None and following not in found and len(found) <= MAX_LINK_HOPS:
                artifact = yield from find(task_id, run_id, following)
                if artifact is None or not artifact.visible:
                    break
                found[following] = artifact
                following = artifact.declared.target if artifact.declared.storage == "link" else None
            return found

        return await self._engine.read(script)

    async def listed(self, task_id: str, run_id: int, after: str, limit: int) -> list[Artifact]:
        def script() -> Script[list[Artifact]]:
            rows = yield Sql(
                f"SELECT {COLUMNS} FROM artifact WHERE task_id = $1 AND run_id = $2 AND name > $3"  # noqa: S608 -- constants
                " AND (blob IS NOT NULL OR storage IN ('reference', 'link', 'error')) ORDER BY name LIMIT $4",
                (task_id, run_id, after, limit),
            )
            return [artifact_of(row) for row in rows]

        return await self._engine.read(script)

    async def object(self, name: str) -> StoredObject | None:
        def script() -> Script[StoredObject | None]:
            rows = yield Sql(f"SELECT {OBJECT} FROM object WHERE name = $1", (name,))  # noqa: S608 -- constants
            return object_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def begin_object(
        self, wanted: StoredObject, ticket: Ticket | None, envelope: Envelope
    ) -> StoredObject:
        return await self._engine.write(lambda: begin_object_script(wanted, ticket), envelope)

    async def fill_object(self, name: str, upload_id: str, content: Content) -> None:
        await self._engine.write(lambda: fill_object(name, upload_id, content), None)

    async def finish_object(
        self, name: str, project_id: str, upload_id: str, hashes: dict[str, str], envelope: Envelope
    ) -> None:
        await self._engine.write(lambda: finish_object_script(name, project_id, upload_id, hashes), envelope)

    async def append_log(
        self, task_id: str, run_id: int, name: str, offset: int, data: bytes, envelope: Envelope
    ) -> int:
        key, now_ms = (task_id, run_id, name), to_ms(envelope.now)
        return await self._engine.write(lambda: append_script(key, offset, data, now_ms), envelope)

    async def read_log(self, task_id: str, run_id: int, name: str, offset: int) -> LogPart | None:
        return await self._engine.read(lambda: read_script((task_id, run_id, name), offset))

    async def expire(self, now_ms: int, limit: int) -> int:
        return await self._engine.write(lambda: _expire(now_ms, limit), None)

    async def orphans(self, since_ms: int, limit: int) -> list[str]:
        def script() -> Script[list[str]]:
            rows = yield Sql(
                "SELECT blob FROM orphan_blob o WHERE since <= $1"
                " AND NOT EXISTS (SELECT 1 FROM artifact a WHERE a.blob = o.blob)"
                " AND NOT EXISTS (SELECT 1 FROM object b WHERE b.blob = o.blob) ORDER BY since LIMIT $2",
                (since_ms, limit),
            )
            return [row[0] for row in rows]

        return await self._engine.read(script)

    async def abandon(self, blob: str, now_ms: int) -> None:
        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO orphan_blob(blob, since) VALUES ($1, $2) ON CONFLICT DO NOTHING", (blob, now_ms)
            )

        await self._engine.write(script, None)

    async def buried(self, blob: str) -> None:
        def script() -> Script[None]:
            yield Sql("DELETE FROM orphan_blob WHERE blob = $1", (blob,))

        await self._engine.write(script, None)


def _expire(now_ms: int, limit: int) -> Script[int]:
    """Forget what has expired, and note blobs that may have become orphans."""
    count = 0
    for table, key in (("artifact", "task_id, run_id, name"), ("object", "name"), ("upload_ticket", "token")):
        rows = yield Sql(
            f"DELETE FROM {table} WHERE ({key}) IN"  # noqa: S608 -- constants
            f" (SELECT {key} FROM {table} WHERE expires <= $1 ORDER BY expires LIMIT $2) RETURNING blob",
            (now_ms, limit),
        )
        count += len(rows)
        for blob in sorted({row[0] for row in rows if row[0] is not None}):
            yield Sql(
                "INSERT INTO orphan_blob(blob, since) VALUES ($1, $2) ON CONFLICT DO NOTHING", (blob, now_ms)
            )
    rows = yield Sql(
        "DELETE FROM live_log WHERE at < $1 AND EXISTS (SELECT 1 FROM artifact a WHERE a.task_id = live_log.task_id"
        " AND a.run_id = live_log.run_id AND a.name = live_log.name AND a.blob IS NOT NULL) RETURNING 1",
        (now_ms - _LOG_KEPT_MS,),
    )
    yield Sql(
        "DELETE FROM orphan_blob WHERE EXISTS (SELECT 1 FROM artifact a WHERE a.blob = orphan_blob.blob)"
        " OR EXISTS (SELECT 1 FROM object b WHERE b.blob = orphan_blob.blob)"
    )
    return count + len(rows)
