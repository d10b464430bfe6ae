"""Take an event that a client dispatches: who sent it is asked first, then what it starts, with the sender's own scopes.

Source: docs/reference/dispatch.md
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog

from liftlock.domain.dispatch.mapping import DispatchRefusal, DispatchRule, rule_for
from liftlock.errors import ConflictError, RefusedError
from liftlock.ports.dispatch_store import DispatchedEvent, DispatchStore
from liftlock.ports.entropy import Entropy
from liftlock.services.authorize import Caller
from liftlock.services.fire_hook import FireHook
from liftlock.services.operation_desk import OperationDesk, Request
from liftlock.values.json import digest

_log = structlog.get_logger(__name__)
UNKNOWN: Final = (
    "This client may not dispatch this event: it is not configured, or not for this client. Ask an operator to name the"
    " client among the event's senders."
)


class Dispatched(msgspec.Struct, frozen=True):
    """An event as given; `key` is the sender's own mark, by which sending it again finds the first."""

    event_type: str
    payload: Any
    key: str | None = None


class DispatchEvents:
    """Maps events to hooks and operations."""

    def __init__(
        self,
        rules: Sequence[DispatchRule],
        store: DispatchStore,
        fire: FireHook,
        desk: OperationDesk,
        entropy: Entropy,
    ) -> None:
        self._rules = tuple(rules)
        self._store = store
        self._fire = fire
        self._desk = desk
        self._entropy = entropy

    async def __call__(self, caller: Caller, event: Dispatched, now: datetime) -> DispatchedEvent:
        """Return the event as it was taken, now or before under the same key.

        Raises:
            RefusedError: the sender is none of this event's, or lacks `liftlock:dispatch:<event>` or the scopes of what it
                starts. A known client's attempt leaves a record; nothing else happens.
            ConflictError: the key was used for another event or payload.
            Others as the hook's fire or the operation's request.
        """
        rule = rule_for(self._rules, event.event_type, caller.client_id)
        if isinstance(rule, DispatchRefusal):
            await self._refuse(caller, event, rule, now)
        assert isinstance(rule, DispatchRule)
        caller.require(f"liftlock:dispatch:{rule.type}")
        earlier = None if event.key is None else await self._store.by_key(caller.client_id, event.key)
        if earlier is not None:
            return _same(earlier, event)
        return await (self._to_hook if rule.hook is not None else self._to_operation)(
            caller, rule, event, now
        )

    async def _refuse(self, caller: Caller, event: Dispatched, why: DispatchRefusal, now: datetime) -> None:
        """Leave a trace, and raise; who has no credentials leaves one in the log alone, which can't be filled for ever."""
        _log.warning(
            "a dispatched event was refused", client=caller.client_id, event_type=event.event_type[:100]
        )
        if not caller.anonymous:
            audit = caller.record(
                "dispatch.receive",
                f"event/{event.event_type[:100]}",
                "refused",
                reason=why.reason,
                payloadDigest=digest(event.payload),
            )
            await self._store.refuse(caller.envelope(now, audit))
        raise RefusedError(UNKNOWN, rule="dispatch")

    async def _to_hook(
        self, caller: Caller, rule: DispatchRule, event: Dispatched, now: datetime
    ) -> DispatchedEvent:
        """Fire the hook; the event is recorded in the transaction that creates the task."""
        group, _, hook = str(rule.hook).partition("/")
        taken = self._taken(caller, event, f"hook/{rule.hook}", now)

        def record(task_id: str) -> tuple[DispatchedEvent, ...]:
            return (msgspec.structs.replace(taken, result=task_id),)

        fired = await self._fire.by_trigger(caller, group, hook, event.payload, now, also=record)
        return msgspec.structs.replace(taken, result=fired.task_id)

    async def _to_operation(
        self, caller: Caller, rule: DispatchRule, event: Dispatched, now: datetime
    ) -> DispatchedEvent:
        """Ask for the operation under the event's key, so that an event which was half taken finds it again."""
        taken = self._taken(caller, event, f"operation/{rule.operation}", now)
        wanted = Request(
            operation=str(rule.operation),
            ref=str(rule.ref),
            revision=None,
            given=event.payload,
            key=f"dispatch/{event.key or taken.id}",
            origin={"event": taken.id, "type": rule.type},
        )
        underway = await self._desk.request(caller, wanted, now)
        done = msgspec.structs.replace(taken, result=underway.operation_id)
        audit = caller.record("dispatch.receive", f"event/{rule.type}", "allowed", **_details(done))
        await self._store.put(done, caller.follow_up().envelope(now, audit))
        return done

    def _taken(self, caller: Caller, event: Dispatched, target: str, now: datetime) -> DispatchedEvent:
        return DispatchedEvent(
            id=self._entropy.slugid(),
            at=now,
            sender=caller.client_id,
            key=event.key,
            event_type=event.event_type,
            payload_digest=digest(event.payload),
            target=target,
        )


def _details(event: DispatchedEvent) -> dict[str, Any]:
    return {
        "event": event.id,
        "target": event.target,
        "result": event.result,
        "payloadDigest": event.payload_digest,
    }


def _same(earlier: DispatchedEvent, event: Dispatched) -> DispatchedEvent:
    if (earlier.event_type, earlier.payload_digest) != (event.event_type, digest(event.payload)):
        raise ConflictError(f"id {event.key!r}: it was used for another event, {earlier.id}")
    return earlier
