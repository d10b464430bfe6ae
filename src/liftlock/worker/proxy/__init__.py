"""The task's only way out: the API with the task's own scopes, on a socket inside the sandbox's network."""
