"""The inbox of feedd in SQLite."""
