"""Events sent over HTTP."""
