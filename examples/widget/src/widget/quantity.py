"""An amount of a unit: exact to add, compare and convert, because it is a fraction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering

from widget.units import Unit, unit

_FORM = re.compile(r"\s*(?P<amount>[+-]?\d+(?:\.\d+|/[1-9]\d*)?)\s*(?P<symbol>[A-Za-z]+)\s*\Z")


class QuantityError(Exception):
    """The text is no quantity, or two quantities are of different dimensions."""


@total_ordering
@dataclass(frozen=True, eq=False)
class Quantity:
    """`amount` times `unit`. Equal quantities may be in different units: 1000 m equals 1 km."""

    amount: Fraction
    unit: Unit

    @property
    def base(self) -> Fraction:
        """The amount in the base unit of its dimension."""
        return self.amount * self.unit.scale

    def to(self, symbol: str) -> Quantity:
        """Return the same quantity in the unit `symbol`, or raise QuantityError if it measures something else."""
        target = unit(symbol)
        self._demand_same_dimension(target)
        return Quantity(self.base / target.scale, target)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.amount + other.to(self.unit.symbol).amount, self.unit)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.amount - other.to(self.unit.symbol).amount, self.unit)

    def __mul__(self, factor: int | Fraction) -> Quantity:
        return Quantity(self.amount * factor, self.unit)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantity):
            return NotImplemented
        return self.unit.dimension is other.unit.dimension and self.base == other.base

    def __lt__(self, other: Quantity) -> bool:
        self._demand_same_dimension(other.unit)
        return self.base < other.base

    def __hash__(self) -> int:
        return hash((self.unit.dimension, self.base))

    def text(self, digits: int = 6) -> str:
        """Return `<amount> <symbol>`, rounded half to even to `digits` decimals, without trailing zeros."""
        rounded = round(self.amount * 10**digits)
        whole, rest = divmod(abs(rounded), 10**digits)
        fraction = f".{rest:0{digits}d}".rstrip("0").rstrip(".") if digits else ""
        return f"{'-' if rounded < 0 else ''}{whole}{fraction} {self.unit.symbol}"

    def _demand_same_dimension(self, other: Unit) -> None:
        if other.dimension is not self.unit.dimension:
            raise QuantityError(
                f"{self.unit.symbol} measures {self.unit.dimension.value}, {other.symbol} measures {other.dimension.value}"
            )


def parse(text: str) -> Quantity:
    """Return the quantity that `text` names: a whole, decimal or fractional amount and a symbol, as in `3.5 km`.

    Raises:
        QuantityError: the text is not of that form.
        UnknownUnitError: no unit has that symbol.
    """
    match = _FORM.match(text)
    if match is None:
        raise QuantityError(f"expected an amount and a unit such as '3.5 km', got {text!r}")
    return Quantity(Fraction(match["amount"]), unit(match["symbol"]))
