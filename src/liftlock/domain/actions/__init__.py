"""In-tree actions: the untrusted offer, the hooks made for it, and what binds the two to a recorded push."""
