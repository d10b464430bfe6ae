-- Up to which quarter of an hour each scheduled run of a branch has been decided; hooks of actions that nobody fires.
CREATE TABLE cron_state(
    project TEXT NOT NULL,
    branch TEXT NOT NULL,
    name TEXT NOT NULL,
    decided INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (project, branch, name)
) WITHOUT ROWID;

CREATE INDEX hook_managed ON hook(modified) WHERE managed = 1;
