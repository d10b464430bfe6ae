-- Clients and roles. Each change takes the next access version and leaves a row in access_change that names what it touched.
CREATE TABLE access_client(
    client_id TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    sealed_token TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    delete_on_expiration INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    last_rotated INTEGER NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX access_client_expiry ON access_client(expires) WHERE delete_on_expiration = 1;

CREATE TABLE access_role(
    role_id TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;

-- Every version of every role; scopes are NULL where it was deleted.
CREATE TABLE access_role_version(
    role_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    description TEXT NOT NULL,
    scopes TEXT,
    PRIMARY KEY (role_id, version)
) WITHOUT ROWID;

CREATE TABLE access_change(
    version INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL
);
