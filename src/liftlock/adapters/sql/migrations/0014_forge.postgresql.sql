-- Events from outside: which were received, what follows from them, and what is told to the forge about it.
CREATE TABLE forge_delivery(
    delivery_id TEXT COLLATE "C" PRIMARY KEY,
    at BIGINT NOT NULL,
    event TEXT NOT NULL
);

CREATE TABLE forge_work(
    id TEXT COLLATE "C" PRIMARY KEY,
    repository BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    due BIGINT,
    outcome TEXT NOT NULL
);
CREATE INDEX forge_work_due ON forge_work(due) WHERE due IS NOT NULL;

CREATE TABLE forge_watch(
    operation_id TEXT COLLATE "C" PRIMARY KEY,
    repository BIGINT NOT NULL,
    number BIGINT NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    check_run BIGINT,
    told TEXT NOT NULL,
    ended BIGINT NOT NULL
);
CREATE INDEX forge_watch_open ON forge_watch(operation_id) WHERE ended = 0;
CREATE INDEX forge_watch_number ON forge_watch(repository, number);

CREATE TABLE forge_pull(
    repository BIGINT NOT NULL,
    number BIGINT NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    project TEXT NOT NULL,
    task_id TEXT NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (repository, number, revision, attempt)
);

CREATE TABLE dispatch_event(
    id TEXT COLLATE "C" PRIMARY KEY,
    at BIGINT NOT NULL,
    sender TEXT COLLATE "C" NOT NULL,
    request_key TEXT COLLATE "C",
    event_type TEXT NOT NULL,
    payload_digest TEXT NOT NULL,
    target TEXT NOT NULL,
    result TEXT NOT NULL
);
CREATE UNIQUE INDEX dispatch_event_key ON dispatch_event(sender, request_key) WHERE request_key IS NOT NULL;
