"""The command line: speaks HTTP, never SQL."""
