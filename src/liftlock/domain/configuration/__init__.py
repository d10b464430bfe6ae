"""Configuration as code: files become the whole of the privileges, a plan of changes, and checks over it."""
