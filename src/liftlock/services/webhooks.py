"""Register, show and remove webhooks.

Source: docs/reference/events.md#webhooks
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from liftlock.domain.events.bindings import Binding, check_bindings
from liftlock.domain.events.delivering import SECRET_BYTES, check_url, secret_text, webhook_id
from liftlock.errors import NotFoundError
from liftlock.ports.entropy import Entropy
from liftlock.ports.sealing import Sealer
from liftlock.ports.webhook_store import Webhook, WebhookState, WebhookStore
from liftlock.services.authorize import Caller


def need_to_listen(topics: Sequence[str]) -> list[str]:
    """Return the scopes of who may hear of these topics."""
    return [f"events:listen:{topic}" for topic in topics]


class Webhooks:
    """Keeps webhooks."""

    def __init__(self, store: WebhookStore, sealer: Sealer, entropy: Entropy) -> None:
        self._store = store
        self._sealer = sealer
        self._entropy = entropy

    async def create(
        self, caller: Caller, name: str, given: Mapping[str, Any], now: datetime
    ) -> tuple[Webhook, str]:
        """Return the webhook and the secret that signs what it gets, which is shown this once.

        Raises:
            RefusedError: may not manage it, or may not listen to one of its exchanges.
            RequestArgumentsError, InputInvalidError: its id, its address, its bindings.
            ConflictError: it exists.
        """
        caller.require(f"events:manage-webhook:{webhook_id(name)}")
        bindings = tuple(msgspec.convert(given["bindings"], list[Binding]))
        caller.require(need_to_listen(check_bindings(bindings).topics))
        raw = self._entropy.token_bytes(SECRET_BYTES)
        webhook = Webhook(
            webhook_id=name,
            url=check_url(given["url"]),
            description=given.get("description", ""),
            bindings=bindings,
            sealed_secret=self._sealer.seal(raw, identity=secret_identity(name)),
            creator=caller.client_id,
            created=now,
        )
        audit = caller.record("events.createWebhook", f"webhook/{name}", url=webhook.url)
        await self._store.create(webhook, caller.envelope(now, audit))
        return webhook, secret_text(raw)

    async def get(self, caller: Caller, name: str) -> tuple[Webhook, WebhookState]:
        """Return the webhook, and how its deliveries go."""
        caller.require(f"events:get-webhook:{webhook_id(name)}")
        found = await self._store.webhook(name)
        if found is None:
            raise NotFoundError(f"webhook {name} does not exist")
        return found, await self._store.state(name)

    async def listed(self, caller: Caller, after: str, limit: int) -> list[Webhook]:
        """Return a page of webhooks, sorted by id."""
        caller.require("events:list-webhooks")
        return await self._store.listed(after, limit)

    async def remove(self, caller: Caller, name: str, now: datetime) -> None:
        """Remove the webhook if it exists; what waits for it is not sent any more."""
        caller.require(f"events:manage-webhook:{webhook_id(name)}")
        audit = caller.record("events.removeWebhook", f"webhook/{name}")
        await self._store.remove(name, caller.envelope(now, audit))


def secret_identity(name: str) -> str:
    """Return the row's identity for which the secret of the webhook `name` is sealed."""
    return f"webhook/{name}"
