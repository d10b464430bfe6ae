"""How deep JSON from outside may be nested, so that nothing that walks it later runs out of stack."""

from __future__ import annotations

from typing import Any, Final

MAX_DEPTH: Final = 100
CHARS_A_PART: Final = 64


def count_parts(value: Any, depth: int = 0) -> int | None:
    """Return the number of values in `value`, long texts counted as several; None if it is over `MAX_DEPTH` deep."""
    if isinstance(value, str):
        return 1 + len(value) // CHARS_A_PART
    if not isinstance(value, (list, dict)):
        return 1
    if depth >= MAX_DEPTH:
        return None
    total = 1
    for key in value if isinstance(value, dict) else ():
        total += 1 + len(key) // CHARS_A_PART
    for item in value.values() if isinstance(value, dict) else value:
        count = count_parts(item, depth + 1)
        if count is None:
            return None
        total += count
    return total
