"""Programs that run inside a sandbox, with the host's python3 and its standard library only; never imported outside."""
