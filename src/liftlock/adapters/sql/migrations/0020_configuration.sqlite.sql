-- What was applied last under each configuration's name, and the standing policies of action hooks by trust domain.
CREATE TABLE configuration_applied(
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    record TEXT NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE action_policy(
    trust_domain TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
