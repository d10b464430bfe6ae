"""The privileged worker: holds secrets and runs no task code. It admits, performs and records; HTTP only."""
