-- Events for others: webhooks and what waits for them, readers' places in the outbox, and what events have fired.
CREATE TABLE event_reader(
    name TEXT COLLATE "C" PRIMARY KEY,
    place BIGINT NOT NULL
);

CREATE TABLE webhook(
    webhook_id TEXT COLLATE "C" PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    bindings TEXT NOT NULL,
    sealed_secret TEXT NOT NULL,
    creator TEXT NOT NULL,
    created BIGINT NOT NULL,
    since BIGINT NOT NULL,
    waiting BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    given_up BIGINT NOT NULL,
    paused_until BIGINT NOT NULL,
    last_error TEXT NOT NULL
);

CREATE TABLE webhook_delivery(
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id TEXT COLLATE "C" NOT NULL,
    event_id BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body TEXT NOT NULL,
    created BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    failures BIGINT NOT NULL
);
CREATE UNIQUE INDEX webhook_delivery_order ON webhook_delivery(webhook_id, key, id);
CREATE INDEX webhook_delivery_due ON webhook_delivery(webhook_id, next_at, id);

-- `chain` are the hooks whose fires led to the event, this one last.
CREATE TABLE event_fire(
    hook TEXT COLLATE "C" NOT NULL,
    event_id BIGINT NOT NULL,
    task_id TEXT COLLATE "C" NOT NULL,
    chain TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (hook, event_id)
);
CREATE INDEX event_fire_task ON event_fire(task_id);
CREATE INDEX event_fire_recent ON event_fire(hook, at);
CREATE INDEX event_fire_at ON event_fire(at);

CREATE INDEX hook_bound ON hook(hook_group_id, hook_id) WHERE json_array_length(document::json -> 'bindings') > 0;
