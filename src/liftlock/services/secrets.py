"""Secrets: encrypted at rest, each read recorded before the value is given out.

Source: docs/reference/secrets.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from liftlock.errors import ExpiredError, InputInvalidError, NotFoundError, RequestArgumentsError
from liftlock.ports.sealing import Sealer
from liftlock.ports.secret_store import SealedSecret, SecretStore
from liftlock.services.authorize import Caller
from liftlock.values.instants import format_ms, parse_instant, to_ms
from liftlock.values.json import decode, encode

_NAME = re.compile(r"[\x20-\x7e]{1,1024}\Z", re.ASCII)


class Secrets:
    """Keeps secrets. Values appear in answers only: never in an error, a log or the audit log."""

    def __init__(self, store: SecretStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def put(self, caller: Caller, name: str, given: Mapping[str, Any], now: datetime) -> None:
        """Store the secret in place of any of that name.

        Raises:
            RefusedError, RequestArgumentsError, InputInvalidError: may not; no such name; expired.
        """
        name = _checked(name)
        caller.require(f"secrets:set:{name}")
        expires = parse_instant(given["expires"], what="expires")
        if expires <= now:
            raise InputInvalidError(f"expires: {given['expires']} has passed")
        sealed = self._sealer.seal(encode(given["secret"]), identity=_identity(name))
        audit = caller.record("secrets.set", f"secret/{name}", expires=given["expires"])
        await self._store.put(SealedSecret(name, sealed, to_ms(expires)), caller.envelope(now, audit))

    async def get(self, caller: Caller, name: str, now: datetime) -> dict[str, Any]:
        """Return the secret and when it expires; that it was read is recorded first.

        Raises:
            RefusedError, NotFoundError, ExpiredError: may not; there is none; it has expired.
        """
        name = _checked(name)
        caller.require(f"secrets:get:{name}")
        found = await self._store.get(name)
        if found is None:
            raise NotFoundError(f"secret {name!r} does not exist")
        if found.expires_ms <= to_ms(now):
            raise ExpiredError(f"secret {name!r} expired at {format_ms(found.expires_ms)}")
        audit = caller.record("secrets.get", f"secret/{name}", "allowed")
        await self._store.note_read(caller.envelope(now, audit))
        value = decode(self._sealer.unseal(found.sealed, identity=_identity(name)))
        return {"secret": value, "expires": format_ms(found.expires_ms)}

    async def remove(self, caller: Caller, name: str, now: datetime) -> None:
        """Forget the secret; there may be none."""
        name = _checked(name)
        caller.require(f"secrets:set:{name}")
        audit = caller.record("secrets.remove", f"secret/{name}")
        await self._store.remove(name, caller.envelope(now, audit))

    async def names(self, caller: Caller, after: str, limit: int, now: datetime) -> list[str]:
        """Return a page of names, sorted; expired secrets are not among them."""
        caller.require("secrets:list-secrets")
        return await self._store.names(after, limit, to_ms(now))


def _checked(name: str) -> str:
    if _NAME.match(name) is None:
        raise RequestArgumentsError(f"name: expected 1 to 1024 printable ASCII characters, got {name[:64]!r}")
    return name


def _identity(name: str) -> str:
    return f"secret/{name}"
