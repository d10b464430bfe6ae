"""A process that parses what is hostile, and can do nothing else."""
