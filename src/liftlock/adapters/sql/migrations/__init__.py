"""Numbered schema changes, one file for each database."""
