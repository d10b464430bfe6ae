-- Sign-ins by identity providers that are under way, and what people let third parties have. Ids are the sha256 of what the
-- browser or the program holds.
CREATE TABLE login_attempt(
    id TEXT COLLATE "C" PRIMARY KEY,
    provider TEXT NOT NULL,
    browser TEXT NOT NULL,
    verifier TEXT NOT NULL,
    nonce TEXT NOT NULL,
    next TEXT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX login_attempt_expires ON login_attempt(expires);

CREATE TABLE third_party_grant(
    id TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT NOT NULL,
    party TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    person TEXT NOT NULL,
    own TEXT NOT NULL,
    proof TEXT NOT NULL,
    client_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    until BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX third_party_grant_expires ON third_party_grant(expires);
