"""The store of what was applied on both databases."""

from __future__ import annotations

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.actions.policy import DomainPolicy
from liftlock.errors import ConflictError
from liftlock.ports.configuration_store import AppliedRecord, applied_document
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode, decode_as, encode


class SqlConfigurationStore:
    """Implements `ports.configuration_store.ConfigurationStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def applied(self, name: str) -> AppliedRecord | None:
        def script() -> Script[AppliedRecord | None]:
            rows = yield Sql(
                "SELECT version, record, actor, at FROM configuration_applied WHERE name = $1", (name,)
            )
            if not rows:
                return None
            version, record, actor, at = rows[0]
            return AppliedRecord(name=name, version=version, actor=actor, at=from_ms(at), **decode(record))

        return await self._engine.read(script)

    async def put_applied(self, record: AppliedRecord, envelope: Envelope) -> None:
        def script() -> Script[None]:
            values = (
                record.name,
                record.version,
                encode(applied_document(record)).decode(),
                record.actor,
                to_ms(record.at),
            )
            changed = yield (
                Sql(
                    "INSERT INTO configuration_applied(name, version, record, actor, at) VALUES ($1, $2, $3, $4, $5)"
                    " ON CONFLICT (name) DO NOTHING RETURNING 1",
                    values,
                )
                if record.version == 1
                else Sql(
                    "UPDATE configuration_applied SET version = $2, record = $3, actor = $4, at = $5"
                    " WHERE name = $1 AND version = $2 - 1 RETURNING 1",
                    values,
                )
            )
            if not changed:
                raise ConflictError(
                    f"configuration {record.name} is no longer at version {record.version - 1}: somebody else applies"
                    " it; plan again"
                )

        await self._engine.write(script, envelope)

    async def policies(self) -> dict[str, DomainPolicy]:
        def script() -> Script[dict[str, DomainPolicy]]:
            rows = yield Sql("SELECT trust_domain, record FROM action_policy ORDER BY trust_domain")
            return {row[0]: decode_as(row[1], DomainPolicy, what="action policy") for row in rows}

        return await self._engine.read(script)

    async def put_policy(self, trust_domain: str, policy: DomainPolicy | None, envelope: Envelope) -> None:
        def script() -> Script[None]:
            if policy is None:
                yield Sql("DELETE FROM action_policy WHERE trust_domain = $1", (trust_domain,))
                return
            yield Sql(
                "INSERT INTO action_policy(trust_domain, record, at) VALUES ($1, $2, $3)"
                " ON CONFLICT (trust_domain) DO UPDATE SET record = excluded.record, at = excluded.at",
                (trust_domain, encode(policy).decode(), to_ms(envelope.now)),
            )

        await self._engine.write(script, envelope)
