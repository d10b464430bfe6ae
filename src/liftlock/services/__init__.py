"""One verb each: one transaction, one audit record. `authorize` alone refuses callers; `fire_hook` alone fires hooks."""
