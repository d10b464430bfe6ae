"""Rows of the audit log for tests, and what somebody who holds the database may do to them."""

from __future__ import annotations

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.ports.envelope import AuditRecord, Envelope
from task_builders import NOW


async def write(engine: Engine, number: int, **changes: object) -> None:
    given = {
        "actor": "people/ada",
        "action": "secrets.get",
        "subject": f"secret/{number}",
        "verdict": "allowed",
        "details": {"n": number},
        "authority": {"needed": ["secrets:get:x"], "through": ["assume:readers"], "accessVersion": 3},
    } | changes

    def script() -> Script[None]:
        yield Sql("SELECT 1")

    await engine.write(script, Envelope(NOW, audit=(AuditRecord(**given),)))  # type: ignore[arg-type]


async def execute(engine: Engine, *statements: str) -> None:
    def script() -> Script[None]:
        for text in statements:
            yield Sql(text)

    await engine.write(script, None)
