"""The scope algebra: who satisfies what, what roles give, and why."""
