import unittest
from fractions import Fraction

from widget import UNITS, Quantity, QuantityError, UnknownUnitError, parse, unit


class Parsing(unittest.TestCase):
    def test_whole_decimal_fractional_and_signed_amounts(self):
        self.assertEqual(parse("3 km").amount, 3)
        self.assertEqual(parse(" 3.5km ").amount, Fraction(7, 2))
        self.assertEqual(parse("1/3 h").amount, Fraction(1, 3))
        self.assertEqual(parse("-2 g").amount, -2)

    def test_nonsense_is_refused(self):
        for text in ("", "km", "3", "3 4 km", "1/0 h", "1e3 m", "0x10 m", "3 km!"):
            with self.subTest(text=text), self.assertRaises(QuantityError):
                parse(text)

    def test_an_unknown_unit_is_named(self):
        with self.assertRaisesRegex(UnknownUnitError, "furlong"):
            parse("3 furlong")


class Converting(unittest.TestCase):
    def test_known_values(self):
        for given, wanted, text in (
            ("1 mi", "km", "1.609344 km"),
            ("26.2 mi", "km", "42.164813 km"),
            ("1 lb", "g", "453.59237 g"),
            ("36 h", "d", "1.5 d"),
            ("1 GiB", "MB", "1073.741824 MB"),
            ("8 bit", "B", "1 B"),
        ):
            with self.subTest(given=given):
                self.assertEqual(parse(given).to(wanted).text(), text)

    def test_there_and_back_is_exact_for_every_pair(self):
        for one in UNITS.values():
            for other in UNITS.values():
                if one.dimension is other.dimension:
                    start = Quantity(Fraction(22, 7), one)
                    self.assertEqual(start.to(other.symbol).to(one.symbol).amount, start.amount)

    def test_another_dimension_is_refused(self):
        with self.assertRaisesRegex(QuantityError, "km measures length, kg measures mass"):
            parse("1 km").to("kg")


class Arithmetic(unittest.TestCase):
    def test_sums_keep_the_unit_of_the_first(self):
        total = parse("1 km") + parse("1 mi")
        self.assertEqual(total.unit, unit("km"))
        self.assertEqual(total.text(), "2.609344 km")

    def test_differences_and_multiples(self):
        self.assertEqual(parse("1 h") - parse("15 min"), parse("45 min"))
        self.assertEqual(parse("250 m") * 4, parse("1 km"))

    def test_equality_and_hash_ignore_the_unit(self):
        self.assertEqual(parse("1000 m"), parse("1 km"))
        self.assertEqual(hash(parse("1000 m")), hash(parse("1 km")))
        self.assertNotEqual(parse("1 m"), parse("1 kg"))

    def test_order(self):
        self.assertLess(parse("1 km"), parse("1 mi"))
        self.assertGreaterEqual(parse("24 h"), parse("1 d"))
        with self.assertRaises(QuantityError):
            parse("1 h") < parse("1 m")  # noqa: B015


class Text(unittest.TestCase):
    def test_rounding(self):
        self.assertEqual(parse("1/3 m").text(3), "0.333 m")
        self.assertEqual(parse("2/3 m").text(0), "1 m")
        self.assertEqual(parse("-1/2 m").text(), "-0.5 m")
        self.assertEqual(parse("0 m").text(), "0 m")


if __name__ == "__main__":
    unittest.main()
