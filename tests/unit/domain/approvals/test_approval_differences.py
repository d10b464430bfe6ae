"""What a frozen request has that an earlier one had not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.approvals.differences import MAX_DIFFERENCES, MAX_TEXT, Difference, differences
from liftlock.domain.approvals.request import FrozenFile
from liftlock.values.json import canonical
from operation_builders import NOW, frozen


def stage(*files: tuple[str, str, int], **changes: Any) -> Any:
    made = tuple(FrozenFile(*one) for one in files)
    return msgspec.structs.replace(frozen().stage1, files=made, **changes)


def test_what_every_request_has_of_its_own_is_no_difference() -> None:
    other = frozen(
        operation_id="D" * 22,
        stage2_task_id="E" * 22,
        requested=NOW + timedelta(days=3),
        expires=NOW + timedelta(days=4),
        stage1=msgspec.structs.replace(frozen().stage1, task_id="F" * 22, chain_sha256="9" * 64),
    )
    assert differences(frozen(), other) == ()


def test_files_are_compared_by_their_paths() -> None:
    before = frozen(stage1=stage(("a.whl", "1" * 64, 1), ("b.whl", "2" * 64, 2)))
    after = frozen(stage1=stage(("b.whl", "3" * 64, 2), ("c.whl", "4" * 64, 5)))
    assert differences(before, after) == (
        Difference("removed", "files: a.whl", f"sha256 {'1' * 64}, 1 bytes", ""),
        Difference("changed", "files: b.whl", f"sha256 {'2' * 64}, 2 bytes", f"sha256 {'3' * 64}, 2 bytes"),
        Difference("added", "files: c.whl", "", f"sha256 {'4' * 64}, 5 bytes"),
    )


def test_input_requester_rules_and_level_are_compared_by_name() -> None:
    after = frozen(
        input={"version": "1.1", "flags": ["x"]},
        requester="people/mallory",
        contract=("dist/*",),
        stage1=msgspec.structs.replace(frozen().stage1, level=3),
    )
    found = [(one.kind, one.place, one.before, one.after) for one in differences(frozen(), after)]
    assert found == [
        ("added", "contract: dist/*", "", "holds"),
        ("removed", "contract: dist/*.whl", "holds", ""),
        ("added", "input.flags[0]", "", '"x"'),
        ("changed", "input.version", '"1.0"', '"1.1"'),
        ("changed", "requester", '"people/robin"', '"people/mallory"'),
        ("changed", "stage1.level", "1", "3"),
    ]


def test_an_input_can_hide_no_difference_behind_a_name_that_is_passed_over() -> None:
    after = frozen(input={"version": "1.0", "stage2TaskId": "x", "format": "y"})
    assert [one.place for one in differences(frozen(), after)] == ["input.format", "input.stage2TaskId"]


def test_values_and_names_that_look_alike_are_told_apart() -> None:
    for one, two in (
        ({"a": 1}, {"a": "1"}),
        ({"a": {"b": 1}}, {"a.b": 1}),
        ({"a": [1]}, {"a[0]": 1}),
        ({"a": {}}, {"a": []}),
        ({"a": None}, {}),
    ):
        assert differences(frozen(input=one), frozen(input=two)), (one, two)


def test_many_and_long_differences_are_bounded() -> None:
    after = frozen(input={f"k{number:04}": "v" * 1_000 for number in range(1_000)})
    found = differences(frozen(), after)
    assert len(found) == MAX_DIFFERENCES
    assert max(len(one.after) for one in found) == MAX_TEXT


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, _JSON)
def test_there_is_a_difference_exactly_where_the_inputs_differ_and_the_other_way_round_too(
    one: Any, two: Any
) -> None:
    forth, back = (
        differences(frozen(input=one), frozen(input=two)),
        differences(frozen(input=two), frozen(input=one)),
    )
    assert bool(forth) == (canonical(one) != canonical(two))
    assert [each.place for each in forth] == [each.place for each in back]
    assert [(each.before, each.after) for each in forth] == [(each.after, each.before) for each in back]
