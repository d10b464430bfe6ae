-- Pushes of all projects, the newest first.
CREATE INDEX push_at ON push(at, project, id);
