"""Who calls and what they may: the only place that refuses callers.

Source: docs/reference/access.md
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from liftlock.domain.credentials.authentication import ANONYMOUS_CLIENT, Signed, authenticate
from liftlock.domain.credentials.endpoint import signed_endpoint
from liftlock.domain.credentials.hawk import PayloadHasher, Target, verify_payload_hash
from liftlock.domain.credentials.page_sessions import proof_of
from liftlock.domain.scopes.attenuation import attenuate, expand_caller
from liftlock.domain.scopes.authority import MAX_NEEDED, authority_of
from liftlock.domain.scopes.roles import ANONYMOUS
from liftlock.domain.scopes.satisfaction import AllOf, Expression, Refusal, ScopeSet, decide, to_wire
from liftlock.errors import AuthenticationFailedError, RefusedError
from liftlock.ports.envelope import AuditRecord, Envelope, Event, Nonce, Verdict
from liftlock.services.access_snapshot import AccessCache, Snapshot


class HttpFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What authentication needs of a request.

    `target` is the raw path and query; `body` None means that it streams (see `checked`); `writes` says whether the
    method changes something, so that it must not be replayed.
    """

    method: str
    target: str
    host: str
    forwarded_port: str | None = None
    forwarded_proto: str | None = None
    authorization: str | None = None
    content_type: str = ""
    body: bytes | None = b""
    writes: bool = False


class Witness(Protocol):
    """Is told what callers needed and had."""

    def __call__(self, caller: Caller, asked: Expression) -> None:
        """Note it, at once: this is within requests."""
        ...


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The authenticated principal, fixed for one request.

    `scopes` are expanded, with authorizedScopes applied; `own` are the same before expansion, for explanations.
    `client_id` is for records; what a caller may is decided by its scopes alone.
    """

    client_id: str
    scopes: ScopeSet
    own: tuple[str, ...]
    access_version: int
    expires: datetime
    nonce: Nonce | None = None
    payload_hash: str | None = None
    issuer: str = ""
    """The stored client whose scopes these are, or are a part of; empty for liftlock's own acts."""
    witness: Witness | None = None
    retiring: dict[str, None] = msgspec.field(default_factory=dict)
    """What of that the caller had by scopes alone that are to be taken away."""
    uses: dict[Expression, None] = msgspec.field(default_factory=dict)
    """What was asked of this caller and satisfied so far, in order: every record of what it does names that."""

    @property
    def anonymous(self) -> bool:
        """Whether the request had no credentials."""
        return self.client_id == ANONYMOUS_CLIENT

    def satisfies(self, need: Expression | list[str]) -> bool:
        """Tell whether the caller has what `need` says (a list means all of it)."""
        return self.refusal(need) is None

    def refusal(self, need: Expression | list[str]) -> Refusal | None:
        """Return why the answer is no, or None if it is yes."""
        asked = AllOf(*need) if isinstance(need, list) else need
        refusal = decide(self.scopes, asked)
        if refusal is None:
            if self.witness is not None:
                self.witness(self, asked)
            if len(self.uses) < MAX_NEEDED:
                self.uses[asked] = None
        return refusal

    def require(self, need: Expression | list[str]) -> None:
        """Return if the caller has what `need` says (a list means all of it).

        Raises:
            RefusedError: naming what is missing and how to get it.
        """
        refusal = self.refusal(need)
        if refusal is not None:
            who = "A caller without credentials" if self.anonymous else f"Client {self.client_id}"
            raise RefusedError(
                refusal.message(who), required=to_wire(refusal.need), unsatisfied=to_wire(refusal.unsatisfied)
            )

    def envelope(
        self, now: datetime, *audit: AuditRecord, events: Sequence[Event] = (), records: Sequence[Any] = ()
    ) -> Envelope:
        """Return the envelope for the one transaction of a request that writes.

        The nonce commits with it: a second transaction with the same envelope is a replay. One that rolls back leaves
        the nonce unused; a request that needs a further transaction takes `follow_up().envelope(…)` for it.
        """
        return Envelope(
            now=now,
            nonce=self.nonce,
            access_version=self.access_version,
            audit=tuple(self._with_authority(record) for record in audit),
            events=tuple(events),
            records=tuple(records),
        )

    def _with_authority(self, record: AuditRecord) -> AuditRecord:
        if record.actor != self.client_id or record.authority:
            return record
        return msgspec.structs.replace(record, authority=self.authority())

    def authority(self) -> dict[str, Any]:
        """Return by what this caller was allowed to do what it did so far, for records."""
        return authority_of(self.uses, self.own, self.access_version)

    def follow_up(self) -> Caller:
        """Return the same caller for what follows the transaction that stored its nonce."""
        return msgspec.structs.replace(self, nonce=None)

    def record(self, action: str, subject: str, verdict: Verdict = "changed", **details: Any) -> AuditRecord:
        """Return the audit record of this caller's `action` on `subject`."""
        return AuditRecord(self.client_id, action, subject, verdict, details)


class Witnesses:
    """Several witnesses as one."""

    def __init__(self, *witnesses: Witness) -> None:
        self._witnesses = witnesses

    def __call__(self, caller: Caller, asked: Expression) -> None:
        """Tell each."""
        for witness in self._witnesses:
            witness(caller, asked)


class Authorizer:
    """Turns requests into callers."""

    def __init__(self, access: AccessCache, witness: Witness | None = None) -> None:
        self._access = access
        self._witness = witness

    async def authenticate(self, facts: HttpFacts, now: datetime) -> Caller:
        """Return who made the request: by Hawk, bewit or temporary credentials; anonymous without credentials.

        Raises:
            AuthenticationFailedError: the credentials prove nothing; the message says why.
        """
        snapshot = await self._access.current(now)
        host, port = "", 0
        if facts.authorization is not None or "bewit=" in facts.target:
            host, port = signed_endpoint(
                facts.host, forwarded_port=facts.forwarded_port, forwarded_proto=facts.forwarded_proto
            )
        signed = Signed(
            Target(facts.method, facts.target, host, port),
            facts.authorization,
            facts.content_type,
            facts.body,
        )
        found = authenticate(signed, snapshot.client, snapshot.book, now)
        if found.scheme != "none":
            self._access.used(found.client_id, now)
        return Caller(
            client_id=found.client_id,
            scopes=found.scopes,
            own=found.own,
            access_version=snapshot.version,
            expires=found.expires,
            nonce=Nonce(found.client_id, *found.nonce) if facts.writes and found.nonce is not None else None,
            payload_hash=found.payload_hash,
            issuer=found.issuer,
            witness=self._witness,
        )

    async def anonymous(self, now: datetime) -> Caller:
        """Return the caller that has what everyone has, whatever credentials the request had."""
        snapshot = await self._access.current(now)
        return self._internal(snapshot, ANONYMOUS_CLIENT, (), now)

    async def internal(self, client_id: str, scopes: Sequence[str], now: datetime) -> Caller:
        """Return a caller for one of liftlock's own acts, such as a hook that fires: these scopes, expanded, no nonce.

        `client_id` names who acts in the records, such as `hook/<group>/<id>`.
        """
        snapshot = await self._access.current(now)
        return self._internal(snapshot, client_id, scopes, now)

    async def signed_in(
        self, client_id: str, scopes: Sequence[str] | None, proof: str, until: datetime, now: datetime
    ) -> Caller:
        """Return the caller of a session of the pages: with `scopes`, or None: with what the client has now.

        Args:
            proof: What the session's start found (`proof_of` the client's token); empty where `scopes` are given.
        Raises:
            AuthenticationFailedError: the client is gone, is not in force, or has a new token since.
        """
        snapshot = await self._access.current(now)
        if scopes is None:
            client = snapshot.client(client_id)
            if client is None or client.disabled or client.expires <= now:
                raise AuthenticationFailedError(f"client {client_id} is not in force any more")
            if not hmac.compare_digest(proof_of(client.token), proof):
                raise AuthenticationFailedError(f"client {client_id} has got a new token: sign in again")
            scopes, until = client.scopes, min(until, client.expires)
            self._access.used(client_id, now)
        caller = self._internal(snapshot, client_id, scopes, now)
        return msgspec.structs.replace(caller, expires=until, issuer=client_id)

    async def limited(self, caller: Caller, authorized: Sequence[str], now: datetime) -> Caller:
        """Return the caller with `authorized` in place of what he has, as authorizedScopes of a request do.

        Raises:
            RefusedError: he does not have one of them.
        """
        snapshot = await self._access.current(now)
        scopes = attenuate(snapshot.book, caller.own, authorized)
        if isinstance(scopes, Refusal):
            raise RefusedError(
                scopes.message(f"Client {caller.client_id}"),
                required=to_wire(scopes.need),
                unsatisfied=to_wire(scopes.unsatisfied),
            )
        return msgspec.structs.replace(caller, scopes=scopes, own=(*authorized, ANONYMOUS))

    def _internal(self, snapshot: Snapshot, client_id: str, scopes: Sequence[str], now: datetime) -> Caller:
        return Caller(
            client_id=client_id,
            scopes=expand_caller(snapshot.book, scopes),
            own=(*scopes, ANONYMOUS),
            access_version=snapshot.version,
            expires=now,
            witness=self._witness,
        )

    def expire(self) -> None:
        """Make the next decision read roles and clients anew; to be called on StaleSnapshotError."""
        self._access.expire()


async def checked(chunks: AsyncIterator[bytes], caller: Caller, content_type: str) -> AsyncIterator[bytes]:
    """Yield a streamed body; if its hash was signed, compare it at the end.

    Raises:
        AuthenticationFailedError: after the last chunk: nothing of the body may have taken effect before.
    """
    if caller.payload_hash is None:
        async for chunk in chunks:
            yield chunk
        return
    hasher = PayloadHasher(content_type)
    async for chunk in chunks:
        hasher.update(chunk)
        yield chunk
    verify_payload_hash(caller.payload_hash, hasher.finish())
