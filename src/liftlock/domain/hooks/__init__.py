"""Hooks: templates of tasks that fire on a trigger or a schedule, with a role and a schema of their own."""
