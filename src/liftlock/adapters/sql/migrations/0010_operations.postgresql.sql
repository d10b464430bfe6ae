-- Operations of two stages, and what people said of their frozen requests.
CREATE TABLE operation(
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id TEXT COLLATE "C" NOT NULL UNIQUE,
    operation TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    requester TEXT COLLATE "C" NOT NULL,
    request_key TEXT COLLATE "C",
    stage1_task_id TEXT COLLATE "C" NOT NULL UNIQUE,
    stage2_task_id TEXT COLLATE "C" NOT NULL UNIQUE,
    state TEXT NOT NULL,
    why TEXT NOT NULL,
    record TEXT NOT NULL,
    digest TEXT,
    frozen TEXT,
    changed BIGINT NOT NULL
);
CREATE INDEX operation_unfinished ON operation(number) WHERE state IN ('building', 'waiting', 'scheduled');
CREATE INDEX operation_project ON operation(project, number);
CREATE UNIQUE INDEX operation_key ON operation(requester, request_key) WHERE request_key IS NOT NULL;

CREATE TABLE operation_approval(
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id TEXT COLLATE "C" NOT NULL,
    approver TEXT COLLATE "C" NOT NULL,
    verdict TEXT NOT NULL,
    digest TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (operation_id, approver, digest)
);
