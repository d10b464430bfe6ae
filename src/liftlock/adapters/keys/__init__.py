"""Keys that live in files outside the database."""
