-- The audit log as a Merkle tree: a row's place (NULL until it is sequenced), the tree in tiles, signed checkpoints.
ALTER TABLE audit ADD COLUMN authority TEXT NOT NULL DEFAULT '{}';
ALTER TABLE audit ADD COLUMN seq BIGINT;
CREATE UNIQUE INDEX audit_seq ON audit(seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_unsequenced ON audit(id) WHERE seq IS NULL;

CREATE TABLE audit_tree(
    id BIGINT PRIMARY KEY CHECK (id = 1),
    size BIGINT NOT NULL
);
INSERT INTO audit_tree(id, size) VALUES (1, 0);

CREATE TABLE audit_tile(
    level BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    PRIMARY KEY (level, number)
);

CREATE TABLE audit_key(
    id BIGINT PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    public BYTEA NOT NULL,
    sealed_seed TEXT NOT NULL
);

CREATE TABLE audit_checkpoint(
    size BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    note TEXT NOT NULL
);
