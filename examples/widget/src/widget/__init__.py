"""Exact conversions between units of length, mass, time and data."""

from widget.quantity import Quantity, QuantityError, parse
from widget.units import UNITS, Dimension, Unit, UnknownUnitError, unit

__all__ = ["UNITS", "Dimension", "Quantity", "QuantityError", "Unit", "UnknownUnitError", "parse", "unit"]
