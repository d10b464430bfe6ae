-- Tasks, what waits to be claimed, artifacts, the index, secrets, workers and the small services.
CREATE TABLE task_group(
    group_id TEXT COLLATE "C" PRIMARY KEY,
    scheduler_id TEXT COLLATE "C" NOT NULL,
    sealed BIGINT
);

-- The part of a task that changes. `rank` is 0 for the highest priority; `due` is when the sweep next looks at it:
-- the end of a lease or the deadline while unresolved, then the expiry.
CREATE TABLE task(
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id TEXT COLLATE "C" NOT NULL UNIQUE,
    queue_id TEXT COLLATE "C" NOT NULL,
    scheduler_id TEXT COLLATE "C" NOT NULL,
    project_id TEXT NOT NULL,
    group_id TEXT COLLATE "C" NOT NULL,
    expires BIGINT NOT NULL,
    rank BIGINT NOT NULL,
    routes TEXT NOT NULL,
    tags TEXT NOT NULL,
    state TEXT NOT NULL,
    runs TEXT NOT NULL,
    retries_left BIGINT NOT NULL,
    unmet BIGINT NOT NULL,
    retries BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    due BIGINT NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX task_of_group ON task(group_id, id);
CREATE INDEX task_unresolved ON task(group_id, id) WHERE state IN ('unscheduled', 'pending', 'running');
CREATE INDEX task_running ON task(queue_id, id) WHERE state = 'running';
CREATE INDEX task_due ON task(due);

CREATE TABLE task_definition(
    id BIGINT PRIMARY KEY,
    document TEXT NOT NULL,
    index_entries TEXT NOT NULL
);

CREATE TABLE dependency(
    needed TEXT COLLATE "C" NOT NULL,
    task_id TEXT COLLATE "C" NOT NULL,
    any_resolution BIGINT NOT NULL,
    satisfied BIGINT NOT NULL,
    PRIMARY KEY (needed, task_id)
);
CREATE INDEX dependency_of ON dependency(task_id);

CREATE TABLE pending(
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue_id TEXT COLLATE "C" NOT NULL,
    rank BIGINT NOT NULL,
    task BIGINT NOT NULL UNIQUE
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX pending_order ON pending(queue_id, rank, seq);

CREATE TABLE artifact(
    task_id TEXT COLLATE "C" NOT NULL,
    run_id BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    storage TEXT NOT NULL,
    content_type TEXT NOT NULL,
    expires BIGINT NOT NULL,
    target TEXT,
    reason TEXT,
    message TEXT,
    upload_id TEXT,
    blob TEXT COLLATE "C",
    stored_bytes BIGINT,
    encoding TEXT,
    sha256 TEXT,
    length BIGINT,
    sha512 TEXT,
    PRIMARY KEY (task_id, run_id, name)
);
CREATE INDEX artifact_blob ON artifact(blob) WHERE blob IS NOT NULL;
CREATE INDEX artifact_expires ON artifact(expires);

-- `token` is the sha256 of what the URL holds, so that a stolen database uploads nothing.
CREATE TABLE upload_ticket(
    token TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    task_id TEXT COLLATE "C" NOT NULL,
    run_id BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    content_type TEXT NOT NULL,
    expires BIGINT NOT NULL,
    blob TEXT COLLATE "C"
);
CREATE INDEX upload_ticket_expires ON upload_ticket(expires);

CREATE TABLE object(
    name TEXT COLLATE "C" PRIMARY KEY,
    project_id TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    content_type TEXT NOT NULL,
    expires BIGINT NOT NULL,
    hashes TEXT NOT NULL,
    finished BIGINT NOT NULL,
    blob TEXT COLLATE "C",
    stored_bytes BIGINT,
    encoding TEXT,
    sha256 TEXT,
    length BIGINT,
    sha512 TEXT
);
CREATE INDEX object_blob ON object(blob) WHERE blob IS NOT NULL;
CREATE INDEX object_expires ON object(expires);

-- A blob that nothing refers to any more, to be removed from the blob store after `since` and a grace.
CREATE TABLE orphan_blob(
    blob TEXT COLLATE "C" PRIMARY KEY,
    since BIGINT NOT NULL
);

CREATE TABLE live_log(
    task_id TEXT COLLATE "C" NOT NULL,
    run_id BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    start BIGINT NOT NULL,
    data BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (task_id, run_id, name, start)
);

CREATE TABLE indexed_task(
    parent TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    task_id TEXT COLLATE "C" NOT NULL,
    rank DOUBLE PRECISION NOT NULL,
    data TEXT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (parent, name)
);
CREATE INDEX indexed_task_expires ON indexed_task(expires);

CREATE TABLE index_namespace(
    parent TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (parent, name)
);
CREATE INDEX index_namespace_expires ON index_namespace(expires);

CREATE TABLE secret(
    name TEXT COLLATE "C" PRIMARY KEY,
    sealed TEXT NOT NULL,
    expires BIGINT NOT NULL
);

CREATE TABLE worker(
    queue_id TEXT COLLATE "C" NOT NULL,
    worker_group TEXT COLLATE "C" NOT NULL,
    worker_id TEXT COLLATE "C" NOT NULL,
    first_claim BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    quarantine_until BIGINT NOT NULL,
    quarantine_details TEXT NOT NULL,
    recent_tasks TEXT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (queue_id, worker_group, worker_id)
);

CREATE TABLE worker_pool(
    pool_id TEXT COLLATE "C" PRIMARY KEY,
    document TEXT NOT NULL
);

CREATE TABLE pool_worker(
    pool_id TEXT COLLATE "C" NOT NULL,
    worker_group TEXT COLLATE "C" NOT NULL,
    worker_id TEXT COLLATE "C" NOT NULL,
    document TEXT NOT NULL,
    secret TEXT,
    expires BIGINT NOT NULL,
    PRIMARY KEY (pool_id, worker_group, worker_id)
);

CREATE TABLE pool_error(
    error_id TEXT COLLATE "C" PRIMARY KEY,
    pool_id TEXT COLLATE "C" NOT NULL,
    reported BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX pool_error_of ON pool_error(pool_id, reported);

CREATE TABLE purge_request(
    pool_id TEXT COLLATE "C" NOT NULL,
    cache_name TEXT COLLATE "C" NOT NULL,
    before BIGINT NOT NULL,
    PRIMARY KEY (pool_id, cache_name)
);

CREATE TABLE notify_denied(
    kind TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, address)
);
