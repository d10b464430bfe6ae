-- Scopes of roles that are to be taken away, and who still needs them.
CREATE TABLE retiring(
    role_id TEXT PRIMARY KEY,
    scopes TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE retiring_use(
    client_id TEXT NOT NULL,
    need TEXT NOT NULL,
    uses INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, need)
) WITHOUT ROWID;
