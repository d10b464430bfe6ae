"""Events from outside: those that clients dispatch, and the forge's."""

from __future__ import annotations

import tomllib
from typing import Any

import httpx2

from liftlock.adapters.github.credentials import load_key
from liftlock.adapters.github.forge import GitHubForge
from liftlock.adapters.sql.dispatch_store import SqlDispatchStore
from liftlock.adapters.sql.forge_store import SqlForgeStore
from liftlock.adapters.sql.operation_store import SqlOperationStore
from liftlock.domain.dispatch.mapping import parse_rules
from liftlock.domain.forge.settings import parse_github
from liftlock.errors import InputInvalidError
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.processes.parts.operations import OperationServices
from liftlock.processes.parts.pushes import PushServices
from liftlock.services.answer_forge import AnswerForge
from liftlock.services.ask_for_operations import ConfiguredDesk
from liftlock.services.decide_pull import DecidePull
from liftlock.services.decisions_told import DecisionsTold
from liftlock.services.dispatch_events import DispatchEvents
from liftlock.services.fire_hook import FireHook
from liftlock.services.forge_commands import ForgeCommands
from liftlock.services.receive_webhook import CHANNEL, KEPT, ReceiveWebhook
from liftlock.values.instants import to_ms
from liftlock.web import api_dispatch, api_forge

FORGET_EVERY_S = 3600.0
ANSWER_EVERY_S = 2.0
"""Webhooks wake the loop at once; this is how soon the forge hears of an operation's new state."""
_TABLES = frozenset({"github", "event"})


def part(base: Foundation, pushes: PushServices, fire: FireHook, operations: OperationServices) -> Part:
    """Return the dispatch service, and the forge service if there is an app."""
    desk = ConfiguredDesk(
        operations.request, operations.operations, SqlOperationStore(base.engine), operations.run
    )
    told = _document(base.told.integrations)
    rules = parse_rules(told.get("event", []))
    events = DispatchEvents(rules, SqlDispatchStore(base.engine), fire, desk, base.entropy)
    routes, loops = list(api_dispatch.routes(events)), []
    if "github" in told:
        settings, store = parse_github(told["github"]), SqlForgeStore(base.engine)
        key = load_key(base.told.github_private_key)
        forge = GitHubForge(httpx2.AsyncClient(), settings.api, settings.app_id, key, base.clock)
        commands = ForgeCommands(store, forge, desk, base.authorizer, base.told.root_url)
        pulls = DecidePull(
            store, pushes.store, pushes.repository, base.authorizer, base.create_task, base.entropy
        )
        answer = AnswerForge(
            settings,
            store,
            forge,
            desk,
            commands,
            pulls,
            DecisionsTold(settings, store, pushes.store, base.tasks),
            base.authorizer,
            base.leases,
            base.clock,
            base.holder,
        )
        secret = base.told.github_webhook_secret.encode()
        receive = ReceiveWebhook(settings, secret, store, pushes.watch, base.wakeups)
        routes += api_forge.routes(receive)

        async def forget() -> None:
            await store.forget(to_ms(base.clock.now() - KEPT))

        loops.append(Loop("answer the forge", answer.step, ANSWER_EVERY_S, CHANNEL))
        loops.append(Loop("forget old deliveries", forget, FORGET_EVERY_S))
    return Part(tuple(routes), tuple(loops))


def _document(text: str | None) -> dict[str, Any]:
    try:
        found = tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as error:
        raise InputInvalidError(f"integrations: expected TOML: {error}") from error
    unknown = sorted(set(found) - _TABLES)
    if unknown:
        raise InputInvalidError(f"integrations: expected github and event, got {unknown[0][:40]!r}")
    return found
