"""The in-tree actions: what people may ask of a push after it has landed. Changed by review alone."""
