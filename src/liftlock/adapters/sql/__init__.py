"""The store on SQLite and PostgreSQL: one script an operation, run by either engine."""
