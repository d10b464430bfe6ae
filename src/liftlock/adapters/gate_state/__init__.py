"""What gated keeps, in one SQLite file of its own."""
