"""Sign-ins under way and grants to third parties, on both databases."""

from __future__ import annotations

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.ports.envelope import Envelope
from liftlock.ports.login_store import LoginAttempt, ThirdPartyGrant
from liftlock.values.json import decode_as, encode

_ATTEMPT = "id, provider, browser, verifier, nonce, next, expires"
_GRANT = "id, kind, party, redirect_uri, challenge, person, own, proof, client_id, scopes, until, expires"


class SqlLoginStore:
    """Implements `ports.login_store.LoginStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def begin(self, attempt: LoginAttempt) -> None:
        def script() -> Script[None]:
            yield Sql(
                f"INSERT INTO login_attempt({_ATTEMPT}) VALUES ($1, $2, $3, $4, $5, $6, $7)",  # noqa: S608 -- constant columns
                (
                    attempt.id,
                    attempt.provider,
                    attempt.browser,
                    attempt.verifier,
                    attempt.nonce,
                    attempt.next,
                    attempt.expires_ms,
                ),
            )

        await self._engine.write(script, None)

    async def take_attempt(self, attempt_id: str) -> LoginAttempt | None:
        def script() -> Script[LoginAttempt | None]:
            rows = yield Sql(f"DELETE FROM login_attempt WHERE id = $1 RETURNING {_ATTEMPT}", (attempt_id,))  # noqa: S608 -- constant columns
            return LoginAttempt(*rows[0]) if rows else None

        return await self._engine.write(script, None)

    async def grant(self, grant: ThirdPartyGrant, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                f"INSERT INTO third_party_grant({_GRANT})"  # noqa: S608 -- constant columns
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                (
                    grant.id,
                    grant.kind,
                    grant.party,
                    grant.redirect_uri,
                    grant.challenge,
                    grant.person,
                    encode(grant.own).decode(),
                    grant.proof,
                    grant.client_id,
                    encode(grant.scopes).decode(),
                    grant.until_ms,
                    grant.expires_ms,
                ),
            )

        await self._engine.write(script, envelope)

    async def take_grant(self, grant_id: str, kind: str) -> ThirdPartyGrant | None:
        def script() -> Script[ThirdPartyGrant | None]:
            rows = yield Sql(
                f"DELETE FROM third_party_grant WHERE id = $1 AND kind = $2 RETURNING {_GRANT}",  # noqa: S608 -- constant columns
                (grant_id, kind),
            )
            if not rows:
                return None
            number, kind_, party, uri, challenge, person, own, proof, client_id, scopes, until, expires = (
                rows[0]
            )
            return ThirdPartyGrant(
                number,
                kind_,
                party,
                uri,
                challenge,
                person,
                decode_as(own, tuple[str, ...], what="scopes"),
                proof,
                client_id,
                decode_as(scopes, tuple[str, ...], what="scopes"),
                until,
                expires,
            )

        return await self._engine.write(script, None)

    async def expire(self, now_ms: int) -> None:
        def look() -> Script[bool]:
            rows = yield Sql(
                "SELECT 1 FROM login_attempt WHERE expires <= $1"
                " UNION ALL SELECT 1 FROM third_party_grant WHERE expires <= $1 LIMIT 1",
                (now_ms,),
            )
            return bool(rows)

        def script() -> Script[None]:
            yield Sql("DELETE FROM login_attempt WHERE expires <= $1", (now_ms,))
            yield Sql("DELETE FROM third_party_grant WHERE expires <= $1", (now_ms,))

        if await self._engine.read(look):
            await self._engine.write(script, None)
