"""GitHub, as an app: REST through gidgethub."""
