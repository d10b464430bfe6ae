-- Events from outside: which were received, what follows from them, and what is told to the forge about it.
CREATE TABLE forge_delivery(
    delivery_id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    event TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE forge_work(
    id TEXT PRIMARY KEY,
    repository INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due INTEGER,
    outcome TEXT NOT NULL
);
CREATE INDEX forge_work_due ON forge_work(due) WHERE due IS NOT NULL;

CREATE TABLE forge_watch(
    operation_id TEXT PRIMARY KEY,
    repository INTEGER NOT NULL,
    number INTEGER NOT NULL,
    revision TEXT NOT NULL,
    check_run INTEGER,
    told TEXT NOT NULL,
    ended INTEGER NOT NULL
);
CREATE INDEX forge_watch_open ON forge_watch(operation_id) WHERE ended = 0;
CREATE INDEX forge_watch_number ON forge_watch(repository, number);

CREATE TABLE forge_pull(
    repository INTEGER NOT NULL,
    number INTEGER NOT NULL,
    revision TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    project TEXT NOT NULL,
    task_id TEXT NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (repository, number, revision, attempt)
) WITHOUT ROWID;

CREATE TABLE dispatch_event(
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    sender TEXT NOT NULL,
    request_key TEXT,
    event_type TEXT NOT NULL,
    payload_digest TEXT NOT NULL,
    target TEXT NOT NULL,
    result TEXT NOT NULL
);
CREATE UNIQUE INDEX dispatch_event_key ON dispatch_event(sender, request_key) WHERE request_key IS NOT NULL;
