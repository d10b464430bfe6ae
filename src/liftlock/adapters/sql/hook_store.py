"""Hooks and their fires in SQL."""

from __future__ import annotations

from datetime import datetime

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_rows import (
    FIRE_COLUMNS,
    HOOK_COLUMNS,
    add_hook,
    delete_hook,
    fire_of,
    hook_of,
    replace_hook,
)
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import NotFoundError
from liftlock.ports.envelope import Envelope
from liftlock.ports.hook_store import AddHook, FireRecord, HookRecord, ReplaceHook
from liftlock.values.instants import to_ms

_SELECT = f"SELECT {HOOK_COLUMNS} FROM hook"  # noqa: S608 -- constant columns
_UNUSED = (
    " WHERE managed = 1 AND modified < $1 AND (hook_group_id, hook_id) > ($2, $3)"
    " AND NOT EXISTS (SELECT 1 FROM hook_fire f WHERE f.hook_group_id = hook.hook_group_id"
    " AND f.hook_id = hook.hook_id AND f.at >= $1) ORDER BY hook_group_id, hook_id LIMIT $4"
)


class SqlHookStore:
    """Implements `ports.hook_store.HookStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def hook(self, hook_group_id: str, hook_id: str) -> HookRecord | None:
        def script() -> Script[HookRecord | None]:
            rows = yield Sql(f"{_SELECT} WHERE hook_group_id = $1 AND hook_id = $2", (hook_group_id, hook_id))
            return hook_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def groups(self) -> list[str]:
        def script() -> Script[list[str]]:
            rows = yield Sql("SELECT DISTINCT hook_group_id FROM hook ORDER BY hook_group_id")
            return [row[0] for row in rows]

        return await self._engine.read(script)

    async def hooks_of(self, hook_group_id: str) -> list[HookRecord]:
        def script() -> Script[list[HookRecord]]:
            rows = yield Sql(f"{_SELECT} WHERE hook_group_id = $1 ORDER BY hook_id", (hook_group_id,))
            return [hook_of(row) for row in rows]

        return await self._engine.read(script)

    async def bound(self) -> list[HookRecord]:
        bindings = (
            "document, '$.bindings'" if self._engine.dialect == "sqlite" else "document::json -> 'bindings'"
        )

        def script() -> Script[list[HookRecord]]:
            rows = yield Sql(
                f"{_SELECT} WHERE json_array_length({bindings}) > 0 ORDER BY hook_group_id, hook_id"
            )
            return [hook_of(row) for row in rows]

        return await self._engine.read(script)

    async def every(self) -> list[HookRecord]:
        def script() -> Script[list[HookRecord]]:
            rows = yield Sql(f"{_SELECT} ORDER BY hook_group_id, hook_id")
            return [hook_of(row) for row in rows]

        return await self._engine.read(script)

    async def names(self) -> list[str]:
        def script() -> Script[list[str]]:
            rows = yield Sql("SELECT hook_group_id, hook_id FROM hook ORDER BY hook_group_id, hook_id")
            return [f"{group}/{hook}" for group, hook in rows]

        return await self._engine.read(script)

    async def unused(self, before: datetime, after: tuple[str, str], limit: int) -> list[HookRecord]:
        def script() -> Script[list[HookRecord]]:
            rows = yield Sql(
                f"{_SELECT}{_UNUSED}",
                (to_ms(before), *after, limit),
            )
            return [hook_of(row) for row in rows]

        return await self._engine.read(script)

    async def create(self, record: HookRecord, envelope: Envelope) -> None:
        await self._engine.write(lambda: add_hook(AddHook(record)), envelope)

    async def replace(self, record: HookRecord, expected: str, envelope: Envelope) -> None:
        await self._engine.write(lambda: replace_hook(ReplaceHook(record, expected)), envelope)

    async def delete(self, hook_group_id: str, hook_id: str, envelope: Envelope) -> bool:
        return await self._engine.write(lambda: delete_hook(hook_group_id, hook_id), envelope)

    async def set_token(
        self, hook_group_id: str, hook_id: str, sealed_token: str, envelope: Envelope
    ) -> None:
        def script() -> Script[None]:
            rows = yield Sql(
                "UPDATE hook SET sealed_token = $3 WHERE hook_group_id = $1 AND hook_id = $2 RETURNING 1",
                (hook_group_id, hook_id, sealed_token),
            )
            if not rows:
                raise NotFoundError(f"hook {hook_group_id}/{hook_id} does not exist")

        await self._engine.write(script, envelope)

    async def due(self, now: datetime, limit: int) -> list[HookRecord]:
        def script() -> Script[list[HookRecord]]:
            rows = yield Sql(
                f"{_SELECT} WHERE next_fire <= $1 ORDER BY next_fire, hook_group_id, hook_id LIMIT $2",
                (to_ms(now), limit),
            )
            return [hook_of(row) for row in rows]

        return await self._engine.read(script)

    async def commit(self, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield from ()

        await self._engine.write(script, envelope)

    async def fires(self, hook_group_id: str, hook_id: str, *, before: int, limit: int) -> list[FireRecord]:
        def script() -> Script[list[FireRecord]]:
            rows = yield Sql(
                f"SELECT {FIRE_COLUMNS}, id FROM hook_fire"  # noqa: S608 -- constant columns
                " WHERE hook_group_id = $1 AND hook_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
                (hook_group_id, hook_id, before, limit),
            )
            return [fire_of(row) for row in rows]

        return await self._engine.read(script)
