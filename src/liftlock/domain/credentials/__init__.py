"""Proof of who calls: Hawk, bewits and temporary credentials."""
