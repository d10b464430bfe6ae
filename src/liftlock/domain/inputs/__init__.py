"""What a task is given: declared inputs, how they are planned, and what the manifest says of them."""
