"""Sigstore bundles, verified by the sigstore project's own library, offline."""
