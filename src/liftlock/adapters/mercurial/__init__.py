"""Repositories by the program `hg`, run as the control plane's own user."""
