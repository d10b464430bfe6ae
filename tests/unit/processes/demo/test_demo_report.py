"""The closing table of the demo is a contract: its lines, and when they say ok."""

from __future__ import annotations

import pytest

from liftlock.errors import ConflictError
from liftlock.processes.demo.checks import CHECKS
from liftlock.processes.demo.report import Check, DifferenceError, Report, expect, expect_equal

TWO = {"first": Check("A5", "one thing"), "second": Check("E1", "another thing")}


def test_a_check_that_was_not_made_fails() -> None:
    report = Report(TWO)
    with report.check("first"):
        pass
    assert report.table() == ["ok A5 one thing", "FAIL E1 another thing", "    observed: not reached"]
    assert not report.passed


def test_every_check_made_without_a_difference_passes() -> None:
    report = Report(TWO)
    for key in ("second", "first"):
        with report.check(key):
            expect(True, "never")
            expect_equal("two", 2, 2)
    assert report.table() == ["ok A5 one thing", "ok E1 another thing"]
    assert report.passed


def test_a_difference_is_shown_under_its_line_and_ends_only_its_own_check() -> None:
    report = Report(TWO)
    with report.check("first"):
        expect_equal("the state", "failed", "completed")
    with report.check("second"):
        pass
    assert report.table() == [
        "FAIL A5 one thing",
        "    observed: the state: expected 'completed', found 'failed'",
        "ok E1 another thing",
    ]
    assert not report.passed


def test_an_error_of_liftlock_is_an_observation_with_its_code() -> None:
    report = Report(TWO)
    with report.check("first"):
        raise ConflictError("it exists\nalready")
    assert report.table()[:3] == [
        "FAIL A5 one thing",
        "    observed: RequestConflict: it exists",
        "    observed: already",
    ]


def test_a_defect_of_the_demo_is_no_observation() -> None:
    report = Report(TWO)
    with pytest.raises(KeyError), report.check("first"):
        {}["no such key"]
    assert report.table()[0] == "FAIL A5 one thing"


def test_a_check_stays_failed_when_it_is_made_again() -> None:
    report = Report(TWO)
    with report.check("first"):
        raise DifferenceError("once")
    with report.check("first"):
        pass
    assert report.table()[0] == "FAIL A5 one thing"


def test_what_follows_can_demand_that_a_check_was_made_and_is_ok() -> None:
    report = Report(TWO)
    with pytest.raises(DifferenceError, match="one thing: this failed, and what follows needs it"):
        report.demand("first")
    with report.check("first"):
        pass
    report.demand("first")
    with report.check("second"):
        raise DifferenceError("no")
    with pytest.raises(DifferenceError, match="another thing"):
        report.demand("second")


def test_an_undeclared_check_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="third: no such check"), Report(TWO).check("third"):
        pass


def test_every_claim_of_the_demo_names_a_requirement_and_is_one_line() -> None:
    for check in CHECKS.values():
        assert check.requirement[0] in "ABCDE"
        assert check.requirement[1:].isdecimal()
        assert "\n" not in check.expected
        assert not check.expected.endswith(".")
    assert len({check.expected for check in CHECKS.values()}) == len(CHECKS)
