"""Beside the repositories: hooks that ask, and a process without a network that decides."""
