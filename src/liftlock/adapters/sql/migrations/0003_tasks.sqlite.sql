-- Tasks, what waits to be claimed, artifacts, the index, secrets, workers and the small services.
CREATE TABLE task_group(
    group_id TEXT PRIMARY KEY,
    scheduler_id TEXT NOT NULL,
    sealed INTEGER
) WITHOUT ROWID;

-- The part of a task that changes. `rank` is 0 for the highest priority; `due` is when the sweep next looks at it:
-- the end of a lease or the deadline while unresolved, then the expiry.
CREATE TABLE task(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    queue_id TEXT NOT NULL,
    scheduler_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    group_id TEXT NOT NULL,
    expires INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    routes TEXT NOT NULL,
    tags TEXT NOT NULL,
    state TEXT NOT NULL,
    runs TEXT NOT NULL,
    retries_left INTEGER NOT NULL,
    unmet INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    due INTEGER NOT NULL
);
CREATE INDEX task_of_group ON task(group_id, id);
CREATE INDEX task_unresolved ON task(group_id, id) WHERE state IN ('unscheduled', 'pending', 'running');
CREATE INDEX task_running ON task(queue_id, id) WHERE state = 'running';
CREATE INDEX task_due ON task(due);

CREATE TABLE task_definition(
    id INTEGER PRIMARY KEY,
    document TEXT NOT NULL,
    index_entries TEXT NOT NULL
);

CREATE TABLE dependency(
    needed TEXT NOT NULL,
    task_id TEXT NOT NULL,
    any_resolution INTEGER NOT NULL,
    satisfied INTEGER NOT NULL,
    PRIMARY KEY (needed, task_id)
) WITHOUT ROWID;
CREATE INDEX dependency_of ON dependency(task_id);

CREATE TABLE pending(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue_id TEXT NOT NULL,
    rank INTEGER NOT NULL,
    task INTEGER NOT NULL UNIQUE
);
CREATE INDEX pending_order ON pending(queue_id, rank, seq);

CREATE TABLE artifact(
    task_id TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    storage TEXT NOT NULL,
    content_type TEXT NOT NULL,
    expires INTEGER NOT NULL,
    target TEXT,
    reason TEXT,
    message TEXT,
    upload_id TEXT,
    blob TEXT,
    stored_bytes INTEGER,
    encoding TEXT,
    sha256 TEXT,
    length INTEGER,
    sha512 TEXT,
    PRIMARY KEY (task_id, run_id, name)
) WITHOUT ROWID;
CREATE INDEX artifact_blob ON artifact(blob) WHERE blob IS NOT NULL;
CREATE INDEX artifact_expires ON artifact(expires);

-- `token` is the sha256 of what the URL holds, so that a stolen database uploads nothing.
CREATE TABLE upload_ticket(
    token TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    task_id TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    expires INTEGER NOT NULL,
    blob TEXT
) WITHOUT ROWID;
CREATE INDEX upload_ticket_expires ON upload_ticket(expires);

CREATE TABLE object(
    name TEXT PRIMARY KEY,
    project_id TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    content_type TEXT NOT NULL,
    expires INTEGER NOT NULL,
    hashes TEXT NOT NULL,
    finished INTEGER NOT NULL,
    blob TEXT,
    stored_bytes INTEGER,
    encoding TEXT,
    sha256 TEXT,
    length INTEGER,
    sha512 TEXT
) WITHOUT ROWID;
CREATE INDEX object_blob ON object(blob) WHERE blob IS NOT NULL;
CREATE INDEX object_expires ON object(expires);

-- A blob that nothing refers to any more, to be removed from the blob store after `since` and a grace.
CREATE TABLE orphan_blob(
    blob TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE live_log(
    task_id TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    start INTEGER NOT NULL,
    data BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (task_id, run_id, name, start)
) WITHOUT ROWID;

CREATE TABLE indexed_task(
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    task_id TEXT NOT NULL,
    rank REAL NOT NULL,
    data TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE INDEX indexed_task_expires ON indexed_task(expires);

CREATE TABLE index_namespace(
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE INDEX index_namespace_expires ON index_namespace(expires);

CREATE TABLE secret(
    name TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE worker(
    queue_id TEXT NOT NULL,
    worker_group TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    first_claim INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    quarantine_until INTEGER NOT NULL,
    quarantine_details TEXT NOT NULL,
    recent_tasks TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (queue_id, worker_group, worker_id)
) WITHOUT ROWID;

CREATE TABLE worker_pool(
    pool_id TEXT PRIMARY KEY,
    document TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE pool_worker(
    pool_id TEXT NOT NULL,
    worker_group TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    document TEXT NOT NULL,
    secret TEXT,
    expires INTEGER NOT NULL,
    PRIMARY KEY (pool_id, worker_group, worker_id)
) WITHOUT ROWID;

CREATE TABLE pool_error(
    error_id TEXT PRIMARY KEY,
    pool_id TEXT NOT NULL,
    reported INTEGER NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX pool_error_of ON pool_error(pool_id, reported);

CREATE TABLE purge_request(
    pool_id TEXT NOT NULL,
    cache_name TEXT NOT NULL,
    before INTEGER NOT NULL,
    PRIMARY KEY (pool_id, cache_name)
) WITHOUT ROWID;

CREATE TABLE notify_denied(
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (kind, address)
) WITHOUT ROWID;
