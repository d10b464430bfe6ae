"""A run's log: cleaned, guarded against forged lines, masked, spooled, shown live."""
