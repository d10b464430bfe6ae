"""Sizes that keep every file readable in one sitting. What outgrows them has two purposes: divide it."""

from __future__ import annotations

from statistics import median

from source_tree import PACKAGE, ROOT, functions, python_files, shown

FILE_LINES = 500
MEDIAN_FILE_LINES = 120
FUNCTION_LINES = 60
MOST_FUNCTIONS_LINES = 30
MOST_FUNCTIONS = 0.90


def _sizes(*folders: str) -> dict[str, int]:
    return {shown(path): len(path.read_text().splitlines()) for path in python_files(*folders)}


def test_no_python_file_is_longer_than_500_lines() -> None:
    sizes = _sizes("src", "tests", "scripts", "benchmarks", "examples")
    assert {name: lines for name, lines in sizes.items() if lines > FILE_LINES} == {}


def test_half_of_the_files_have_at_most_120_lines() -> None:
    sizes = _sizes("src")
    assert len(sizes) > 50, "the package was not found"
    assert median(sizes.values()) <= MEDIAN_FILE_LINES


def test_no_function_is_longer_than_60_lines() -> None:
    found = [
        function for path in python_files("src", "scripts", "benchmarks") for function in functions(path)
    ]
    assert [function for function in found if function[1] > FUNCTION_LINES] == []


def test_nine_of_ten_functions_have_at_most_30_lines() -> None:
    found = sorted((lines, name) for path in python_files("src") for name, lines in functions(path))
    short = sum(lines <= MOST_FUNCTIONS_LINES for lines, _ in found)
    assert short >= MOST_FUNCTIONS * len(found), f"the longest: {found[-20:]}"


def test_budgets_measure_this_package() -> None:
    assert PACKAGE.is_dir()
    assert PACKAGE.is_relative_to(ROOT)
