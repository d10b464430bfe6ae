"""Bells of a ship's clock."""


def bells(hour, minute=0):
    """Return how often the bell is struck at that time: 1 to 8, every half hour, anew with each watch of four hours."""
    return (hour % 4 * 2 + minute // 30 - 1) % 8 + 1
