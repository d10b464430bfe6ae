"""Repositories by the program `git`, run as the control plane's own user."""
