"""Which wheel is chosen for an interpreter."""

from __future__ import annotations

import pytest

from liftlock.domain.inputs.requirements import Requirement
from liftlock.domain.inputs.wheels import Interpreter, choose, parse_file_name, rank

HERE = Interpreter((3, 11), "x86_64", (2, 36))


def fits(tags: str, interpreter: Interpreter = HERE) -> bool:
    wheel = parse_file_name(f"foo-1.0-{tags}.whl")
    assert wheel is not None
    return rank(wheel, interpreter) is not None


@pytest.mark.parametrize(
    ("tags", "runs"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("py2-none-any", False),
        ("py311-none-any", True),
        ("py312-none-any", False),
        ("cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64", True),
        ("cp311-cp311-manylinux_2_36_x86_64", True),
        ("cp311-cp311-manylinux_2_37_x86_64", False),
        ("cp312-cp312-manylinux_2_17_x86_64", False),
        ("cp38-abi3-manylinux_2_17_x86_64", True),
        ("cp312-abi3-manylinux_2_17_x86_64", False),
        ("cp311-cp311-musllinux_1_2_x86_64", False),
        ("cp311-cp311-manylinux_2_17_aarch64", False),
        ("cp311-cp311-win_amd64", False),
        ("cp311-cp311-linux_x86_64", True),
    ],
)
def test_tags_say_whether_a_wheel_runs(tags: str, runs: bool) -> None:
    assert fits(tags) is runs


def test_where_the_c_library_is_musl_its_wheels_run() -> None:
    musl = Interpreter((3, 11), "x86_64", None)
    assert fits("cp311-cp311-musllinux_1_2_x86_64", musl)
    assert not fits("cp311-cp311-manylinux_2_17_x86_64", musl)


def test_the_most_specific_of_the_allowed_wheels_is_chosen() -> None:
    there = {
        "a" * 64: "foo-1.0-py3-none-any.whl",
        "b" * 64: "foo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "c" * 64: "foo-1.0-cp38-abi3-manylinux_2_17_x86_64.whl",
    }
    wanted = Requirement("foo", "1.0", tuple(there), 1)
    assert choose(wanted, there, HERE) == ("b" * 64, "foo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")


def test_a_wheel_of_another_digest_is_no_wheel_and_both_digests_are_told() -> None:
    wanted = Requirement("foo", "1.0", ("a" * 64,), 1)
    said = choose(wanted, {"b" * 64: "foo-1.0-py3-none-any.whl"}, HERE)
    assert said == (
        f"foo==1.0: declared sha256 {'a' * 64}; observed in the wheelhouse:"
        f" foo-1.0-py3-none-any.whl measures {'b' * 64}"
    )


def test_a_wheel_of_another_package_does_not_count_whatever_its_digest() -> None:
    wanted = Requirement("foo", "1.0", ("a" * 64,), 1)
    said = choose(wanted, {"a" * 64: "bar-1.0-py3-none-any.whl"}, HERE)
    assert isinstance(said, str)
    assert "no wheel of that package" in said


def test_a_wheel_that_does_not_run_here_is_told() -> None:
    wanted = Requirement("foo", "1.0", ("a" * 64,), 1)
    said = choose(wanted, {"a" * 64: "foo-1.0-cp312-cp312-linux_x86_64.whl"}, HERE)
    assert said == (
        "foo==1.0: the lock allows foo-1.0-cp312-cp312-linux_x86_64.whl, which does not run on cp311-linux_x86_64"
    )


@pytest.mark.parametrize(
    "name", ["foo.whl", "foo-1.0.tar.gz", "foo-1.0-py3-none-any.whl/../x", "-1.0-py3-none-any.whl"]
)
def test_a_name_of_another_form_is_no_wheel(name: str) -> None:
    assert parse_file_name(name) is None
