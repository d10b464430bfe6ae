"""The command `widget`: convert a quantity, or add several up."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import reduce
from operator import add

from widget.quantity import QuantityError, parse
from widget.units import UnknownUnitError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the sum of the given quantities in the wanted unit; return 0, or 2 if they make no sense."""
    parser = argparse.ArgumentParser(prog="widget", description="Convert quantities, exactly.")
    parser.add_argument("quantity", nargs="+", help="such as '3.5 km'; several are added up")
    parser.add_argument("--to", help="the unit of the answer; that of the first quantity if absent")
    parser.add_argument("--digits", type=int, default=6, help="decimals to round to")
    options = parser.parse_args(arguments)
    try:
        total = reduce(add, [parse(text) for text in options.quantity])
        print(total.to(options.to or total.unit.symbol).text(options.digits))
    except (QuantityError, UnknownUnitError) as error:
        print(f"widget: {error}", file=sys.stderr)
        return 2
    return 0
