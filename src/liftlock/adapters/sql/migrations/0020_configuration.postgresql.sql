-- What was applied last under each configuration's name, and the standing policies of action hooks by trust domain.
CREATE TABLE configuration_applied(
    name TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL,
    record TEXT NOT NULL,
    actor TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE action_policy(
    trust_domain TEXT COLLATE "C" PRIMARY KEY,
    record TEXT NOT NULL,
    at BIGINT NOT NULL
);
