"""The HTTP API: one module a service."""
