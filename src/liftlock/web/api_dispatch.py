"""The dispatch service: events by which other programs start what is configured for them.

Source: docs/reference/dispatch.md
"""

from __future__ import annotations

from typing import Any

from liftlock.services.dispatch_events import Dispatched, DispatchEvents
from liftlock.values.instants import format_instant
from liftlock.web.routing import ApiRequest, Route


def routes(events: DispatchEvents) -> list[Route]:
    """Return the service's routes, but for `/ping` and its like."""

    async def dispatch(request: ApiRequest) -> object:
        given: dict[str, Any] = request.payload
        event = Dispatched(given["event_type"], given.get("client_payload", {}), given.get("id"))
        taken = await events(request.caller, event, request.now)
        kind, _, name = taken.target.partition("/")
        started = {"kind": kind, "name": name, "id": taken.result}
        return {
            "id": taken.id,
            "at": format_instant(taken.at),
            "event_type": taken.event_type,
            "started": started,
        }

    return [
        Route(
            service="dispatch",
            method="POST",
            path="/events",
            name="dispatchEvent",
            handler=dispatch,
            title="Dispatch an event",
            description=(
                "Starts the hook or the operation that is configured for the event, with the sender's own scopes. With "
                "an `id` of the sender's own it may be sent again: the answer is the first one's."
            ),
            input="dispatch/event",
            output="dispatch/taken",
            scopes="liftlock:dispatch:<event_type>",
        )
    ]
