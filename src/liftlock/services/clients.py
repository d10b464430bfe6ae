"""Clients: who may sign requests, with which scopes, until when. Nobody gives a client what he does not have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.domain.scopes.role_rules import check_stored_scopes
from liftlock.domain.scopes.satisfaction import AllOf, ScopeSet
from liftlock.errors import InputInvalidError, NotFoundError
from liftlock.ports.access_store import ClientRecord, ClientStore
from liftlock.ports.entropy import Entropy
from liftlock.ports.envelope import Event
from liftlock.ports.sealing import Sealer
from liftlock.services.access_snapshot import STATIC_PREFIX, AccessCache, StaticClient, identity_of
from liftlock.services.authorize import Caller
from liftlock.values.ids import client_id as parse_client_id
from liftlock.values.instants import format_instant, from_ms

_EPOCH: Final = from_ms(0)
_LAST: Final = from_ms(253_370_764_800_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientInput:
    """What a request says of a client; `scopes` None leaves them as they are (or none, of a new client)."""

    description: str
    expires: datetime
    delete_on_expiration: bool
    scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ClientView:
    """A client as it is shown, with the closure of its scopes; never its token."""

    record: ClientRecord
    expanded: ScopeSet


@dataclass(frozen=True, slots=True)
class NewToken:
    """A client just made or reset, and its token, which is shown this once."""

    view: ClientView
    access_token: str

    def __repr__(self) -> str:
        return f"NewToken({self.view.record.client_id!r}, …)"


class Clients:
    """Reads and changes clients."""

    def __init__(self, store: ClientStore, access: AccessCache, sealer: Sealer, entropy: Entropy) -> None:
        self._store = store
        self._access = access
        self._sealer = sealer
        self._entropy = entropy

    async def list(
        self, caller: Caller, *, prefix: str, after: str, limit: int, now: datetime
    ) -> tuple[list[ClientView], str | None]:
        """Return up to `limit` clients by id, and the id to go on after (None: there are no more)."""
        caller.require("auth:list-clients")
        stored = await self._store.list_clients(prefix=prefix, after=after, limit=limit + 1)
        static = [
            _static_record(client)
            for client in self._access.static.values()
            if client.client_id.startswith(prefix) and client.client_id > after
        ]
        merged = sorted([*stored, *static], key=lambda record: record.client_id)
        views = [await self._view(record, now) for record in merged[:limit]]
        return views, views[-1].record.client_id if len(merged) > limit else None

    async def get(self, caller: Caller, client_id: str, now: datetime) -> ClientView:
        """Return the client; raises NotFoundError."""
        caller.require(f"auth:get-client:{parse_client_id(client_id)}")
        static = self._access.static.get(client_id)
        return await self._view(_static_record(static) if static else await self._load(client_id), now)

    async def create(self, caller: Caller, client_id: str, given: ClientInput, now: datetime) -> NewToken:
        """Make a client and return it with its token.

        Raises:
            ConflictError: it exists.
            InputInvalidError: a scope must not be stored, or the id is reserved for configuration.
        """
        scopes = given.scopes or ()
        _changeable(client_id)
        check_stored_scopes(scopes)
        caller.require(AllOf(f"auth:create-client:{client_id}", *scopes))
        token, sealed = self._new_token(client_id)
        record = ClientRecord(
            client_id=client_id,
            description=given.description,
            sealed_token=sealed,
            scopes=scopes,
            expires=given.expires,
            disabled=False,
            delete_on_expiration=given.delete_on_expiration,
            created=now,
            last_modified=now,
            last_used=now,
            last_rotated=now,
        )
        await self._put(
            caller, record, "createClient", "client-created", {"after": _shown(record)}, now, create=True
        )
        return NewToken(await self._view(record, now), token)

    async def update(self, caller: Caller, client_id: str, given: ClientInput, now: datetime) -> ClientView:
        """Change description, expiry and scopes; the caller needs the scopes that are added."""
        _changeable(client_id)
        check_stored_scopes(given.scopes or ())
        before = await self._load(client_id)
        scopes = before.scopes if given.scopes is None else given.scopes
        added = [scope for scope in scopes if scope not in before.scopes]
        caller.require(AllOf(f"auth:update-client:{client_id}", *added))
        after = msgspec.structs.replace(
            before,
            description=given.description,
            expires=given.expires,
            delete_on_expiration=given.delete_on_expiration,
            scopes=scopes,
            last_modified=now,
        )
        await self._put(caller, after, "updateClient", "client-updated", _difference(before, after), now)
        return await self._view(after, now)

    async def set_disabled(
        self, caller: Caller, client_id: str, now: datetime, *, disabled: bool
    ) -> ClientView:
        """Disable or enable the client; no change if it is so already."""
        verb = "disable" if disabled else "enable"
        _changeable(client_id)
        caller.require(f"auth:{verb}-client:{client_id}")
        before = await self._load(client_id)
        after = msgspec.structs.replace(before, disabled=disabled, last_modified=now)
        if before.disabled != disabled:
            await self._put(caller, after, f"{verb}Client", "client-updated", _difference(before, after), now)
        return await self._view(after if before.disabled != disabled else before, now)

    async def reset_token(self, caller: Caller, client_id: str, now: datetime) -> NewToken:
        """Give the client a new token; the old one is worth nothing from then on."""
        _changeable(client_id)
        caller.require(f"auth:reset-access-token:{client_id}")
        before = await self._load(client_id)
        token, sealed = self._new_token(client_id)
        after = msgspec.structs.replace(before, sealed_token=sealed, last_rotated=now)
        await self._put(caller, after, "resetAccessToken", "client-updated", {"rotated": True}, now)
        return NewToken(await self._view(after, now), token)

    async def delete(self, caller: Caller, client_id: str, now: datetime) -> None:
        """Delete the client; deleting one that is not there is no error."""
        _changeable(client_id)
        caller.require(f"auth:delete-client:{client_id}")
        before = await self._store.client(client_id)
        details: dict[str, Any] = {"before": None if before is None else _shown(before)}
        envelope = caller.envelope(
            now,
            caller.record("auth.deleteClient", f"client/{client_id}", **details),
            events=[Event("client-deleted", client_id, {"clientId": client_id})],
        )
        await self._store.delete_client(client_id, envelope)
        self._access.expire()

    async def delete_one_expired(self, caller: Caller, now: datetime) -> bool:
        """Delete one client that has expired and is to be deleted then; return whether there was one.

        `caller` is liftlock itself and holds `auth:delete-client:*`. Each deletion needs a fresh caller, because it
        changes the access version: call again while the answer is true.
        """
        for client_id in await self._store.expired_clients(now, limit=1):
            await self.delete(caller, client_id, now)
            return True
        return False

    def _new_token(self, client_id: str) -> tuple[str, str]:
        token = self._entropy.slugid() + self._entropy.slugid()
        return token, self._sealer.seal(token.encode(), identity=identity_of(client_id))

    async def _load(self, client_id: str) -> ClientRecord:
        record = await self._store.client(client_id)
        if record is None:
            raise NotFoundError(f"client {client_id} does not exist")
        return record

    async def _view(self, record: ClientRecord, now: datetime) -> ClientView:
        return ClientView(record, (await self._access.current(now)).book.expand(record.scopes))

    async def _put(
        self,
        caller: Caller,
        record: ClientRecord,
        action: str,
        topic: str,
        details: dict[str, Any],
        now: datetime,
        *,
        create: bool = False,
    ) -> None:
        envelope = caller.envelope(
            now,
            caller.record(f"auth.{action}", f"client/{record.client_id}", **details),
            events=[Event(topic, record.client_id, {"clientId": record.client_id})],
        )
        await self._store.put_client(record, envelope, create=create)
        self._access.expire()


def _changeable(client_id: str) -> None:
    parse_client_id(client_id)
    if client_id.startswith(STATIC_PREFIX):
        raise InputInvalidError(
            f"client {client_id}: ids that start with {STATIC_PREFIX} belong to the configuration; change it there"
        )


def _static_record(client: StaticClient) -> ClientRecord:
    return ClientRecord(
        client_id=client.client_id,
        description=client.description,
        sealed_token="",
        scopes=client.scopes,
        expires=_LAST,
        disabled=False,
        delete_on_expiration=False,
        created=_EPOCH,
        last_modified=_EPOCH,
        last_used=_EPOCH,
        last_rotated=_EPOCH,
    )


def _shown(record: ClientRecord) -> dict[str, Any]:
    return {
        "description": record.description,
        "expires": format_instant(record.expires),
        "deleteOnExpiration": record.delete_on_expiration,
        "disabled": record.disabled,
        "scopes": list(record.scopes),
    }


def _difference(before: ClientRecord, after: ClientRecord) -> dict[str, Any]:
    """Return what an update changed: (before, after) of each field, and the scopes added and removed."""
    old, new = _shown(before), _shown(after)
    changed = {name: [old[name], new[name]] for name in old if name != "scopes" and old[name] != new[name]}
    return {
        "changed": changed,
        "scopesAdded": sorted(set(after.scopes) - set(before.scopes)),
        "scopesRemoved": sorted(set(before.scopes) - set(after.scopes)),
    }
