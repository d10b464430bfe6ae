"""Each implements one port; only processes choose among them."""
