-- Scopes of roles that are to be taken away, and who still needs them.
CREATE TABLE retiring(
    role_id TEXT COLLATE "C" PRIMARY KEY,
    scopes TEXT COLLATE "C" NOT NULL
);
CREATE TABLE retiring_use(
    client_id TEXT COLLATE "C" NOT NULL,
    need TEXT COLLATE "C" NOT NULL,
    uses BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, need)
);
