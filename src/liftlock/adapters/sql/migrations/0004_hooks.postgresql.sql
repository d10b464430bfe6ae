-- Hooks, and every fire of them. next_fire is NULL for hooks without a schedule.
CREATE TABLE hook(
    hook_group_id TEXT COLLATE "C" NOT NULL,
    hook_id TEXT COLLATE "C" NOT NULL,
    document TEXT NOT NULL,
    version TEXT NOT NULL,
    sealed_token TEXT NOT NULL,
    managed BIGINT NOT NULL,
    next_task_id TEXT NOT NULL,
    next_fire BIGINT,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    PRIMARY KEY (hook_group_id, hook_id)
);
CREATE INDEX hook_due ON hook(next_fire) WHERE next_fire IS NOT NULL;

CREATE TABLE hook_fire(
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook_group_id TEXT COLLATE "C" NOT NULL,
    hook_id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    fired_by TEXT NOT NULL,
    payload_digest TEXT,
    hook_version TEXT NOT NULL,
    task_id TEXT NOT NULL,
    result TEXT NOT NULL,
    error TEXT NOT NULL
);
CREATE INDEX hook_fire_of ON hook_fire(hook_group_id, hook_id, id);
