"""Logs on local disk, with an index of their lines."""
