"""Sessions of the pages and sign-in links on both databases."""

from __future__ import annotations

from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.ports.envelope import Envelope
from liftlock.ports.session_store import SessionRecord, SignInLink
from liftlock.values.instants import to_ms
from liftlock.values.json import decode, encode

_SESSION = "SELECT id, client_id, scopes, proof, method, created, expires FROM page_session"
_LINK = "SELECT id, client_id, made_by, created, expires FROM sign_in_link"


class SqlSessionStore:
    """Implements `ports.session_store.SessionStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def begin(
        self, session: SessionRecord, envelope: Envelope, *, ends: str | None, link: str | None
    ) -> bool:
        def script() -> Script[bool]:
            if link is not None:
                used = yield Sql(
                    "DELETE FROM sign_in_link WHERE id = $1 AND client_id = $2 AND expires > $3 RETURNING 1",
                    (link, session.client_id, to_ms(envelope.now)),
                )
                if not used:
                    return False
            if ends is not None:
                yield Sql("DELETE FROM page_session WHERE id = $1", (ends,))
            yield Sql(
                "INSERT INTO page_session(id, client_id, scopes, proof, method, created, expires)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                _values(session),
            )
            return True

        return await self._engine.write(script, envelope)

    async def session(self, session_id: str) -> SessionRecord | None:
        def script() -> Script[SessionRecord | None]:
            rows = yield Sql(f"{_SESSION} WHERE id = $1", (session_id,))
            return _session_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def sessions_of(self, client_id: str) -> list[SessionRecord]:
        def script() -> Script[list[SessionRecord]]:
            rows = yield Sql(f"{_SESSION} WHERE client_id = $1 ORDER BY created DESC, id", (client_id,))
            return [_session_of(row) for row in rows]

        return await self._engine.read(script)

    async def end(self, session_id: str, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql("DELETE FROM page_session WHERE id = $1", (session_id,))

        await self._engine.write(script, envelope)

    async def end_all(self, client_id: str, envelope: Envelope) -> int:
        def script() -> Script[int]:
            return len((yield Sql("DELETE FROM page_session WHERE client_id = $1 RETURNING 1", (client_id,))))

        return await self._engine.write(script, envelope)

    async def put_link(self, link: SignInLink, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                "INSERT INTO sign_in_link(id, client_id, made_by, created, expires) VALUES ($1, $2, $3, $4, $5)",
                (link.id, link.client_id, link.made_by, link.created_ms, link.expires_ms),
            )

        await self._engine.write(script, envelope)

    async def link(self, link_id: str) -> SignInLink | None:
        def script() -> Script[SignInLink | None]:
            rows = yield Sql(f"{_LINK} WHERE id = $1", (link_id,))
            if not rows:
                return None
            found, client_id, made_by, created, expires = rows[0]
            return SignInLink(
                id=found, client_id=client_id, made_by=made_by, created_ms=created, expires_ms=expires
            )

        return await self._engine.read(script)

    async def expire(self, before_ms: int) -> int:
        def script() -> Script[int]:
            sessions = yield Sql("DELETE FROM page_session WHERE expires < $1 RETURNING 1", (before_ms,))
            links = yield Sql("DELETE FROM sign_in_link WHERE expires < $1 RETURNING 1", (before_ms,))
            return len(sessions) + len(links)

        return await self._engine.write(script, None)


def _values(session: SessionRecord) -> tuple[Any, ...]:
    scopes = None if session.scopes is None else encode(session.scopes).decode()
    return (
        session.id,
        session.client_id,
        scopes,
        session.proof,
        session.method,
        session.created_ms,
        session.expires_ms,
    )


def _session_of(row: tuple[Any, ...]) -> SessionRecord:
    return SessionRecord(
        id=row[0],
        client_id=row[1],
        scopes=None if row[2] is None else tuple(decode(row[2].encode())),
        proof=row[3],
        method=row[4],
        created_ms=row[5],
        expires_ms=row[6],
    )
