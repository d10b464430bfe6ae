"""Who made an artifact of what, signed by whom, and whether that is good enough: chains, statements, certificates, walks."""
