"""Tasks: definitions, the life of a task, claims, dependencies, artifacts, the index. Decisions only."""
