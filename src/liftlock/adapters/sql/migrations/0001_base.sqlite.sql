-- What every transaction needs: nonces of signed requests, the audit log, the outbox, the version of roles and clients.
CREATE TABLE request_nonce(
    bucket INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    nonce TEXT NOT NULL,
    PRIMARY KEY (bucket, client_id, ts, nonce)
) WITHOUT ROWID;

CREATE TABLE audit(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    verdict TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX audit_subject ON audit(subject, id);

CREATE TABLE outbox(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE access_version(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
);
INSERT INTO access_version(id, version) VALUES (1, 1);

CREATE TABLE lease(
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
