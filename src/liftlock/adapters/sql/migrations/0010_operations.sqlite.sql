-- Operations of two stages, and what people said of their frozen requests.
CREATE TABLE operation(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    operation_id TEXT NOT NULL UNIQUE,
    operation TEXT NOT NULL,
    project TEXT NOT NULL,
    requester TEXT NOT NULL,
    request_key TEXT,
    stage1_task_id TEXT NOT NULL UNIQUE,
    stage2_task_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    why TEXT NOT NULL,
    record TEXT NOT NULL,
    digest TEXT,
    frozen TEXT,
    changed INTEGER NOT NULL
);
CREATE INDEX operation_unfinished ON operation(number) WHERE state IN ('building', 'waiting', 'scheduled');
CREATE INDEX operation_project ON operation(project, number);
CREATE UNIQUE INDEX operation_key ON operation(requester, request_key) WHERE request_key IS NOT NULL;

CREATE TABLE operation_approval(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    operation_id TEXT NOT NULL,
    approver TEXT NOT NULL,
    verdict TEXT NOT NULL,
    digest TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (operation_id, approver, digest)
);
