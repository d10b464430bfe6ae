-- Up to which quarter of an hour each scheduled run of a branch has been decided; hooks of actions that nobody fires.
CREATE TABLE cron_state(
    project TEXT COLLATE "C" NOT NULL,
    branch TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    decided BIGINT NOT NULL,
    task_id TEXT COLLATE "C" NOT NULL,
    result TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (project, branch, name)
);

CREATE INDEX hook_managed ON hook(modified) WHERE managed = 1;
