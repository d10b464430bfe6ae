"""Registered repositories, what moved in them, and the decision task that a push brings about."""
