-- Clients and roles. Each change takes the next access version and leaves a row in access_change that names what it touched.
CREATE TABLE access_client(
    client_id TEXT COLLATE "C" PRIMARY KEY,
    description TEXT NOT NULL,
    sealed_token TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires BIGINT NOT NULL,
    disabled BIGINT NOT NULL,
    delete_on_expiration BIGINT NOT NULL,
    created BIGINT NOT NULL,
    last_modified BIGINT NOT NULL,
    last_used BIGINT NOT NULL,
    last_rotated BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX access_client_expiry ON access_client(expires) WHERE delete_on_expiration = 1;

CREATE TABLE access_role(
    role_id TEXT COLLATE "C" PRIMARY KEY,
    description TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_modified BIGINT NOT NULL,
    version BIGINT NOT NULL
);

-- Every version of every role; scopes are NULL where it was deleted.
CREATE TABLE access_role_version(
    role_id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    actor TEXT NOT NULL,
    at BIGINT NOT NULL,
    description TEXT NOT NULL,
    scopes TEXT,
    PRIMARY KEY (role_id, version)
);

CREATE TABLE access_change(
    version BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT COLLATE "C" NOT NULL
);
