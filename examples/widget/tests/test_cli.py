import contextlib
import io
import unittest

from widget.cli import main


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    return status, out.getvalue(), err.getvalue()


class Command(unittest.TestCase):
    def test_it_converts(self):
        self.assertEqual(run("3.5 km", "--to", "mi", "--digits", "2"), (0, "2.17 mi\n", ""))

    def test_it_adds_up(self):
        self.assertEqual(run("1 h", "30 min", "1800 s"), (0, "2 h\n", ""))

    def test_nonsense_ends_with_two_and_says_why(self):
        status, out, err = run("3.5 km", "--to", "kg")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("km measures length, kg measures mass", err)


if __name__ == "__main__":
    unittest.main()
