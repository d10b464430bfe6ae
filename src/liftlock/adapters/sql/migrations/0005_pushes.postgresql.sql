-- Registered repositories, the push log, and the contents that hooks for actions are made of.
-- A removed project keeps its row, with an empty identity, so that its push log goes on where it was.
CREATE TABLE project(
    name TEXT COLLATE "C" PRIMARY KEY,
    identity TEXT COLLATE "C",
    record TEXT NOT NULL,
    next_push BIGINT NOT NULL
);
CREATE UNIQUE INDEX project_identity ON project(identity);

CREATE TABLE project_head(
    project TEXT COLLATE "C" NOT NULL,
    branch TEXT COLLATE "C" NOT NULL,
    revision TEXT NOT NULL,
    PRIMARY KEY (project, branch)
);

CREATE TABLE push(
    project TEXT COLLATE "C" NOT NULL,
    id BIGINT NOT NULL,
    branch TEXT COLLATE "C" NOT NULL,
    revision TEXT NOT NULL,
    task_id TEXT NOT NULL UNIQUE,
    trust_domain TEXT NOT NULL,
    level BIGINT NOT NULL,
    at BIGINT NOT NULL,
    record TEXT NOT NULL,
    decision TEXT NOT NULL,
    decision_text TEXT NOT NULL,
    config_digest TEXT,
    alerts TEXT NOT NULL,
    PRIMARY KEY (project, id)
);
CREATE INDEX push_branch ON push(project, branch, id);
CREATE INDEX push_revision ON push(project, revision, id);
CREATE INDEX push_pending ON push(at) WHERE decision = 'pending';
CREATE INDEX push_config ON push(config_digest, at) WHERE config_digest IS NOT NULL;

CREATE TABLE action_content(
    trust_domain TEXT NOT NULL,
    level BIGINT NOT NULL,
    short TEXT NOT NULL,
    digest TEXT NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    push_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (trust_domain, level, short)
);

CREATE TABLE action_admission(
    trust_domain TEXT NOT NULL,
    level BIGINT NOT NULL,
    permission TEXT COLLATE "C" NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    at BIGINT NOT NULL,
    hook_digest TEXT NOT NULL,
    PRIMARY KEY (trust_domain, level, permission, digest)
);
CREATE INDEX action_admission_state ON action_admission(state, at);
