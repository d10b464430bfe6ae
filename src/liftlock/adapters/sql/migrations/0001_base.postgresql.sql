-- What every transaction needs: nonces of signed requests, the audit log, the outbox, the version of roles and clients.
CREATE TABLE request_nonce(
    bucket BIGINT NOT NULL,
    client_id TEXT COLLATE "C" NOT NULL,
    ts BIGINT NOT NULL,
    nonce TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, client_id, ts, nonce)
);

CREATE TABLE audit(
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    verdict TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX audit_subject ON audit(subject, id);

CREATE TABLE outbox(
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE access_version(
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO access_version(id, version) VALUES (1, 1);

CREATE TABLE lease(
    name TEXT COLLATE "C" PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);
