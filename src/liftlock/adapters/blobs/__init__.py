"""Where bytes are kept: addressed by their sha256, created once, never changed."""
