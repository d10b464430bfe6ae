"""Speeds at sea."""


def to_kmh(knots):
    """Return kilometres an hour."""
    return knots * 1.852


def to_knots(kmh):
    return kmh / 1.852
