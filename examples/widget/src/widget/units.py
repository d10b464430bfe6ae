"""The units that are known: each is an exact rational multiple of its dimension's base unit."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction


class Dimension(enum.Enum):
    """What a unit measures; only units of one dimension convert into each other."""

    LENGTH = "length"
    MASS = "mass"
    TIME = "time"
    DATA = "data"


class UnknownUnitError(Exception):
    """No unit has that symbol; the message lists those that exist."""


@dataclass(frozen=True)
class Unit:
    """`scale` base units of `dimension` make one of it."""

    symbol: str
    name: str
    dimension: Dimension
    scale: Fraction


def _table(dimension: Dimension, *rows: tuple[str, str, str]) -> dict[str, Unit]:
    return {symbol: Unit(symbol, name, dimension, Fraction(scale)) for symbol, name, scale in rows}


UNITS: dict[str, Unit] = {
    **_table(
        Dimension.LENGTH,
        ("mm", "millimetre", "1/1000"),
        ("cm", "centimetre", "1/100"),
        ("m", "metre", "1"),
        ("km", "kilometre", "1000"),
        ("in", "inch", "0.0254"),
        ("ft", "foot", "0.3048"),
        ("yd", "yard", "0.9144"),
        ("mi", "mile", "1609.344"),
        ("nmi", "nautical mile", "1852"),
    ),
    **_table(
        Dimension.MASS,
        ("g", "gram", "1/1000"),
        ("kg", "kilogram", "1"),
        ("t", "tonne", "1000"),
        ("oz", "ounce", "0.028349523125"),
        ("lb", "pound", "0.45359237"),
    ),
    **_table(
        Dimension.TIME,
        ("ms", "millisecond", "1/1000"),
        ("s", "second", "1"),
        ("min", "minute", "60"),
        ("h", "hour", "3600"),
        ("d", "day", "86400"),
    ),
    **_table(
        Dimension.DATA,
        ("bit", "bit", "1/8"),
        ("B", "byte", "1"),
        ("kB", "kilobyte", "1000"),
        ("MB", "megabyte", "1000000"),
        ("GB", "gigabyte", "1000000000"),
        ("KiB", "kibibyte", "1024"),
        ("MiB", "mebibyte", "1048576"),
        ("GiB", "gibibyte", "1073741824"),
    ),
}


def unit(symbol: str) -> Unit:
    """Return the unit with that symbol, or raise UnknownUnitError. Case matters: `mb` is nothing."""
    found = UNITS.get(symbol)
    if found is None:
        raise UnknownUnitError(f"no unit {symbol!r}; there are {', '.join(sorted(UNITS))}")
    return found
