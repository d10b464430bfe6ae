"""Events for others: the stream, webhooks, and hooks that events fire."""

from __future__ import annotations

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.sql.event_log import SqlEventCursors, SqlEventLog
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.webhook_store import SqlWebhookStore
from liftlock.adapters.webhooks.sender import HttpWebhookSender
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.deliver_webhooks import DeliverWebhooks
from liftlock.services.event_feed import EventFeed
from liftlock.services.fire_bindings import FireBindings
from liftlock.services.fire_hook import FireHook
from liftlock.services.webhooks import Webhooks
from liftlock.web import api_events


def part(base: Foundation, hooks: SqlHookStore, fire: FireHook) -> Part:
    """Return the events service; each reader follows the log by itself."""
    store, cursors = SqlWebhookStore(base.engine), SqlEventCursors(base.engine)
    feed = EventFeed(SqlEventLog(base.engine), base.wakeups)
    deliver = DeliverWebhooks(
        SqlEventLog(base.engine),
        cursors,
        store,
        HttpWebhookSender(Addresses(base.told.webhooks_to)),
        base.sealer,
        base.leases,
        base.wakeups,
        base.clock,
        base.holder,
    )
    bindings = FireBindings(
        SqlEventLog(base.engine),
        cursors,
        hooks,
        fire,
        base.authorizer,
        base.leases,
        base.wakeups,
        base.clock,
        base.holder,
    )
    return Part(
        tuple(api_events.routes(feed, Webhooks(store, base.sealer, base.entropy))),
        (
            Loop("follow events", feed.step, 0.01),
            Loop("deliver webhooks", deliver.step, 1),
            Loop("fire hooks by events", bindings.step, 1),
            Loop("forget what events fired", bindings.forget, 3600),
        ),
    )
