-- The audit log as a Merkle tree: a row's place (NULL until it is sequenced), the tree in tiles, signed checkpoints.
ALTER TABLE audit ADD COLUMN authority TEXT NOT NULL DEFAULT '{}';
ALTER TABLE audit ADD COLUMN seq INTEGER;
CREATE UNIQUE INDEX audit_seq ON audit(seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_unsequenced ON audit(id) WHERE seq IS NULL;

CREATE TABLE audit_tree(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL
);
INSERT INTO audit_tree(id, size) VALUES (1, 0);

CREATE TABLE audit_tile(
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, number)
) WITHOUT ROWID;

CREATE TABLE audit_key(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    public BLOB NOT NULL,
    sealed_seed TEXT NOT NULL
);

CREATE TABLE audit_checkpoint(
    size INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    note TEXT NOT NULL
);
