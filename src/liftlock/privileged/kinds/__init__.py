"""The closed set of privileged operations that come with liftlock; further ones are installed as plug-ins."""
