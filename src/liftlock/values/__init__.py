"""Small values without decisions: identifiers, instants, digests, canonical JSON."""
