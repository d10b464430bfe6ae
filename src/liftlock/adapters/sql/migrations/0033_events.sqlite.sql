-- Events for others: webhooks and what waits for them, readers' places in the outbox, and what events have fired.
CREATE TABLE event_reader(
    name TEXT PRIMARY KEY,
    place INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE webhook(
    webhook_id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    bindings TEXT NOT NULL,
    sealed_secret TEXT NOT NULL,
    creator TEXT NOT NULL,
    created INTEGER NOT NULL,
    since INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    given_up INTEGER NOT NULL,
    paused_until INTEGER NOT NULL,
    last_error TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE webhook_delivery(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id TEXT NOT NULL,
    event_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    created INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    failures INTEGER NOT NULL
);
CREATE UNIQUE INDEX webhook_delivery_order ON webhook_delivery(webhook_id, key, id);
CREATE INDEX webhook_delivery_due ON webhook_delivery(webhook_id, next_at, id);

-- `chain` are the hooks whose fires led to the event, this one last.
CREATE TABLE event_fire(
    hook TEXT NOT NULL,
    event_id INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    chain TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (hook, event_id)
) WITHOUT ROWID;
CREATE INDEX event_fire_task ON event_fire(task_id);
CREATE INDEX event_fire_recent ON event_fire(hook, at);
CREATE INDEX event_fire_at ON event_fire(at);

CREATE INDEX hook_bound ON hook(hook_group_id, hook_id) WHERE json_array_length(document, '$.bindings') > 0;
