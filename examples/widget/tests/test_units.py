import unittest
from fractions import Fraction

from widget import UNITS, Dimension, UnknownUnitError, unit


class Units(unittest.TestCase):
    def test_every_unit_is_found_by_its_own_symbol(self):
        for symbol, found in UNITS.items():
            self.assertEqual(found.symbol, symbol)
            self.assertIs(unit(symbol), found)

    def test_every_dimension_has_exactly_one_unit_of_scale_one(self):
        for dimension in Dimension:
            base = [u for u in UNITS.values() if u.dimension is dimension and u.scale == 1]
            self.assertEqual(len(base), 1, dimension)

    def test_scales_are_exact(self):
        self.assertEqual(unit("in").scale, Fraction(127, 5000))

    def test_an_unknown_symbol_is_refused_with_the_list_of_known_ones(self):
        with self.assertRaisesRegex(UnknownUnitError, "no unit 'parsec'; there are .*km"):
            unit("parsec")

    def test_case_matters(self):
        with self.assertRaises(UnknownUnitError):
            unit("mb")


if __name__ == "__main__":
    unittest.main()
