"""Events that a client dispatches: who may send which, and what they start."""
