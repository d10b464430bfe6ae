"""JSON-e, compiled to closures and metered, so that a template from a stranger always ends."""
