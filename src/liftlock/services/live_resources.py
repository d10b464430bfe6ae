"""Every role, client or hook as it is stored, in one answer: for programs that compare all of it with files.

Source: docs/reference/configuration.md#reading-and-changing-much-at-once
"""

from __future__ import annotations

from typing import Any, Final, Literal

from liftlock.ports.access_store import AccessStore
from liftlock.ports.hook_store import HookStore
from liftlock.services.authorize import Caller
from liftlock.values.instants import format_instant

Kind = Literal["Role", "Client", "Hook"]
_ALL: Final = 2**31 - 1
_NEEDS: Final[dict[Kind, str]] = {
    "Role": "auth:list-roles",
    "Client": "auth:list-clients",
    "Hook": "hooks:list-hooks:*",
}


class LiveResources:
    """Reads all of a kind."""

    def __init__(self, access_store: AccessStore, hooks: HookStore) -> None:
        self._access_store = access_store
        self._hooks = hooks

    async def __call__(self, caller: Caller, kind: Kind) -> dict[str, dict[str, Any]]:
        """Return id → content, as stored: no scope is expanded; clients of the server's own settings are not among them."""
        caller.require(_NEEDS[kind])
        match kind:
            case "Role":
                roles = await self._access_store.list_roles(prefix="", after="", limit=_ALL)
                return {
                    role.role_id: {"description": role.description, "scopes": role.scopes} for role in roles
                }
            case "Client":
                clients = await self._access_store.list_clients(prefix="", after="", limit=_ALL)
                return {
                    client.client_id: {
                        "description": client.description,
                        "expires": format_instant(client.expires),
                        "deleteOnExpiration": client.delete_on_expiration,
                        "scopes": client.scopes,
                    }
                    for client in clients
                }
            case "Hook":
                return {hook.name: hook.document for hook in await self._hooks.every()}
