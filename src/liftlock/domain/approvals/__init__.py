"""Approvals: the frozen request and its digest, signatures over it, who counts, and what voids it."""
