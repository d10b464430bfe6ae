"""Access on a real store at a fixed instant, for tests: sign as anybody, and be authenticated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.access_store import SqlAccessStore
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request
from liftlock.services.access_snapshot import AccessCache, StaticClient
from liftlock.services.authorize import Authorizer, Caller, HttpFacts
from liftlock.services.clients import ClientInput, Clients
from liftlock.services.explain_access import ExplainAccess
from liftlock.services.inspect_access import InspectAccess
from liftlock.services.roles import Roles

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST = "lift.example:8080"
ROOT = Credentials("static/liftlock/root", "root-token-of-the-tests")


@dataclass(slots=True)
class World:
    """One control plane's access, on `engine`; make a second one on the same engine for another control plane."""

    engine: Engine
    directory: Path
    now: datetime = NOW
    nonces: Any = field(default_factory=lambda: itertools.count(1))
    store: SqlAccessStore = field(init=False)
    access: AccessCache = field(init=False)
    authorizer: Authorizer = field(init=False)
    clients: Clients = field(init=False)
    roles: Roles = field(init=False)
    explain: ExplainAccess = field(init=False)
    inspect: InspectAccess = field(init=False)

    def __post_init__(self) -> None:
        entropy = CountedEntropy()
        sealer = KeyFileSealer.open(self.directory / "keys.json", entropy)
        self.store = SqlAccessStore(self.engine)
        root = StaticClient(client_id=ROOT.client_id, access_token=ROOT.access_token, scopes=("*",))
        self.access = AccessCache(self.store, sealer, [root])
        self.authorizer = Authorizer(self.access)
        self.clients = Clients(self.store, self.access, sealer, entropy)
        self.roles = Roles(self.store, self.access)
        self.explain = ExplainAccess(self.access)
        self.inspect = InspectAccess(self.store, self.access)

    def facts(
        self,
        credentials: Credentials | None = ROOT,
        method: str = "PUT",
        target: str = "/api/auth/v1/roles/x",
        *,
        authorized: list[str] | None = None,
        **changes: Any,
    ) -> HttpFacts:
        """Return a request that `credentials` signed now, with a nonce of its own."""
        header = None
        if credentials is not None:
            header = sign_request(
                credentials,
                method,
                f"http://{HOST}{target}",
                ts=int(self.now.timestamp()),
                nonce=f"n{next(self.nonces)}",
                authorized_scopes=authorized,
            )
        given: dict[str, Any] = {
            "method": method,
            "target": target,
            "host": HOST,
            "authorization": header,
            "writes": method != "GET",
        }
        return HttpFacts(**(given | changes))

    async def caller(
        self, credentials: Credentials | None = ROOT, authorized: list[str] | None = None
    ) -> Caller:
        """Return the caller of a fresh request that writes."""
        return await self.authorizer.authenticate(self.facts(credentials, authorized=authorized), self.now)

    async def make_client(
        self, client_id: str, *scopes: str, lasts: timedelta = timedelta(days=1)
    ) -> Credentials:
        """Make a client as root."""
        given = ClientInput(
            description="", expires=self.now + lasts, delete_on_expiration=False, scopes=scopes
        )
        made = await self.clients.create(await self.caller(), client_id, given, self.now)
        return Credentials(client_id, made.access_token)

    async def make_role(self, role_id: str, *scopes: str) -> None:
        """Make a role as root."""
        await self.roles.create(await self.caller(), role_id, "", scopes, self.now)


def given(*scopes: str, expires: datetime = NOW + timedelta(days=1), description: str = "") -> ClientInput:
    """Return what a request says of a client."""
    return ClientInput(description=description, expires=expires, delete_on_expiration=False, scopes=scopes)
