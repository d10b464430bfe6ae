-- What people type into the shells of interactive tasks, in order, until it is forgotten.
CREATE TABLE shell_input(
    task_id TEXT COLLATE "C" NOT NULL,
    run_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    data BYTEA NOT NULL,
    columns INTEGER,
    rows INTEGER,
    PRIMARY KEY (task_id, run_id, seq)
);
CREATE INDEX shell_input_at ON shell_input(at);
