-- What people type into the shells of interactive tasks, in order, until it is forgotten.
CREATE TABLE shell_input(
    task_id TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    data BLOB NOT NULL,
    columns INTEGER,
    rows INTEGER,
    PRIMARY KEY (task_id, run_id, seq)
) WITHOUT ROWID;
CREATE INDEX shell_input_at ON shell_input(at);
