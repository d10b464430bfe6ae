"""Runs untrusted tasks: claim, prepare, execute, attest. Speaks HTTP only."""
