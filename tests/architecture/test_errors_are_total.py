"""Every error has one permanent code; every code has its HTTP status, its exit status and its line in the reference."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest
from source_tree import ROOT

import liftlock
from liftlock import errors
from liftlock.cli.exit_codes import BY_CODE, Exit
from liftlock.errors import LiftlockError
from liftlock.web.errors import STATUS_OF_CODE

INTERNAL = {"ClientGone"}  # raised and caught inside the dispatcher: nobody is there to be answered
ROW = re.compile(r"^\| `(?P<code>\w+)` \| (?P<status>\d{3}|–) \| (?P<exit>\d) \| \S.* \|$", re.MULTILINE)


def _subclasses(base: type[LiftlockError]) -> list[type[LiftlockError]]:
    return [base, *(found for child in base.__subclasses__() for found in _subclasses(child))]


@pytest.fixture(scope="module")
def classes() -> list[type[LiftlockError]]:
    """Every error class of the package, wherever it is defined."""
    for module in pkgutil.walk_packages(liftlock.__path__, "liftlock."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [found for found in _subclasses(LiftlockError) if found.__module__.startswith("liftlock.")]


def test_each_code_belongs_to_one_class(classes: list[type[LiftlockError]]) -> None:
    owners: dict[str, list[str]] = {}
    for found in classes:
        if "code" in vars(found):
            owners.setdefault(found.code, []).append(found.__qualname__)
    assert {code: names for code, names in owners.items() if len(names) > 1} == {}


def test_a_class_without_a_code_of_its_own_refines_one_that_has_it(
    classes: list[type[LiftlockError]],
) -> None:
    bare = [found for found in classes if "code" not in vars(found)]
    assert [found for found in bare if LiftlockError in found.__bases__] == []


def test_no_error_is_also_a_builtin_error(classes: list[type[LiftlockError]]) -> None:
    for found in classes:
        assert all(
            issubclass(base, LiftlockError) or base in (Exception, BaseException, object)
            for base in found.__mro__
        ), found


def test_every_code_of_the_server_has_one_http_status(classes: list[type[LiftlockError]]) -> None:
    codes = {found.code for found in classes if found.__module__ == errors.__name__}
    assert codes == set(STATUS_OF_CODE)
    assert all(400 <= status <= 599 for status in STATUS_OF_CODE.values())


def test_every_code_has_one_exit_status(classes: list[type[LiftlockError]]) -> None:
    assert {found.code for found in classes} - INTERNAL == set(BY_CODE)
    assert Exit.OK not in BY_CODE.values()


def test_the_reference_lists_every_code_with_its_statuses() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    listed = {row["code"]: (row["status"], int(row["exit"])) for row in ROW.finditer(page)}
    expected = {code: (str(STATUS_OF_CODE.get(code, "–")), int(status)) for code, status in BY_CODE.items()}
    assert listed == expected
