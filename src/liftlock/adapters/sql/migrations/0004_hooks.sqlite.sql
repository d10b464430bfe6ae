-- Hooks, and every fire of them. next_fire is NULL for hooks without a schedule.
CREATE TABLE hook(
    hook_group_id TEXT NOT NULL,
    hook_id TEXT NOT NULL,
    document TEXT NOT NULL,
    version TEXT NOT NULL,
    sealed_token TEXT NOT NULL,
    managed INTEGER NOT NULL,
    next_task_id TEXT NOT NULL,
    next_fire INTEGER,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    PRIMARY KEY (hook_group_id, hook_id)
) WITHOUT ROWID;
CREATE INDEX hook_due ON hook(next_fire) WHERE next_fire IS NOT NULL;

CREATE TABLE hook_fire(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hook_group_id TEXT NOT NULL,
    hook_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    fired_by TEXT NOT NULL,
    payload_digest TEXT,
    hook_version TEXT NOT NULL,
    task_id TEXT NOT NULL,
    result TEXT NOT NULL,
    error TEXT NOT NULL
);
CREATE INDEX hook_fire_of ON hook_fire(hook_group_id, hook_id, id);
