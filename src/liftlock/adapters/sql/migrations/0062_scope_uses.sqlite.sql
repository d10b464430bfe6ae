-- On which day (since 1970) each granted scope was used last, and since when that is written down.
CREATE TABLE scope_use(
    holder TEXT NOT NULL,
    scope TEXT NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (holder, scope)
) WITHOUT ROWID;
CREATE TABLE scope_use_began(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
);
