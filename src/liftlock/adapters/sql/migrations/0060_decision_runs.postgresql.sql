-- Decision tasks that are no push's: of scheduled runs and pull requests. Their actions are bound to these records.
CREATE TABLE decision_run(
    task_id TEXT COLLATE "C" PRIMARY KEY,
    record TEXT NOT NULL
);
