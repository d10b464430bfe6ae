-- Registered repositories, the push log, and the contents that hooks for actions are made of.
-- A removed project keeps its row, with an empty identity, so that its push log goes on where it was.
CREATE TABLE project(
    name TEXT PRIMARY KEY,
    identity TEXT,
    record TEXT NOT NULL,
    next_push INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX project_identity ON project(identity);

CREATE TABLE project_head(
    project TEXT NOT NULL,
    branch TEXT NOT NULL,
    revision TEXT NOT NULL,
    PRIMARY KEY (project, branch)
) WITHOUT ROWID;

CREATE TABLE push(
    project TEXT NOT NULL,
    id INTEGER NOT NULL,
    branch TEXT NOT NULL,
    revision TEXT NOT NULL,
    task_id TEXT NOT NULL UNIQUE,
    trust_domain TEXT NOT NULL,
    level INTEGER NOT NULL,
    at INTEGER NOT NULL,
    record TEXT NOT NULL,
    decision TEXT NOT NULL,
    decision_text TEXT NOT NULL,
    config_digest TEXT,
    alerts TEXT NOT NULL,
    PRIMARY KEY (project, id)
) WITHOUT ROWID;
CREATE INDEX push_branch ON push(project, branch, id);
CREATE INDEX push_revision ON push(project, revision, id);
CREATE INDEX push_pending ON push(at) WHERE decision = 'pending';
CREATE INDEX push_config ON push(config_digest, at) WHERE config_digest IS NOT NULL;

CREATE TABLE action_content(
    trust_domain TEXT NOT NULL,
    level INTEGER NOT NULL,
    short TEXT NOT NULL,
    digest TEXT NOT NULL,
    project TEXT NOT NULL,
    push_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (trust_domain, level, short)
) WITHOUT ROWID;

CREATE TABLE action_admission(
    trust_domain TEXT NOT NULL,
    level INTEGER NOT NULL,
    permission TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    at INTEGER NOT NULL,
    hook_digest TEXT NOT NULL,
    PRIMARY KEY (trust_domain, level, permission, digest)
) WITHOUT ROWID;
CREATE INDEX action_admission_state ON action_admission(state, at);
