"""Whatever is done to a log, verification names the row; and it names none when nothing was done."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.audit.entry import Row, leaf_data, leaf_of
from liftlock.domain.audit.note import Checkpoint
from liftlock.domain.audit.tree import root_of
from liftlock.domain.audit.verification import Sequenced, verify

ROWS = [
    Row(n + 1, 1000 + n, "people/ada", "secrets.get", f"secret/{n}", "allowed", "{}", "{}") for n in range(12)
]
LOG = [Sequenced(n, leaf_of(row), row) for n, row in enumerate(ROWS)]


def signed(log: Sequence[Sequenced], *sizes: int) -> list[Checkpoint]:
    return [Checkpoint("log", size, root_of(each.leaf for each in log[:size])) for size in sizes]


GOOD = signed(LOG, 4, 8, 12)


def kinds(entries: Sequence[Sequenced], checkpoints: Sequence[Checkpoint] = GOOD) -> list[tuple[str, int]]:
    return [(each.kind, each.seq) for each in verify(entries, checkpoints).findings]


def test_a_log_that_nobody_touched_holds() -> None:
    report = verify(LOG, GOOD)
    assert (report.ok, report.rows, report.covered) == (True, 12, 12)


def test_rows_beyond_the_newest_checkpoint_are_counted_as_not_covered() -> None:
    report = verify(LOG, GOOD[:2])
    assert (report.ok, report.rows, report.covered) == (True, 12, 8)


@given(
    st.sampled_from(["id", "at", "actor", "action", "subject", "verdict", "details", "authority"]),
    st.integers(0, 11),
)
def test_an_edit_of_any_column_names_the_row(column: str, at: int) -> None:
    row = ROWS[at]
    value = 99 if isinstance(getattr(row, column), int) else '{"x":1}'
    edited = msgspec.structs.replace(row, **{column: value})
    entries = [*LOG[:at], LOG[at]._replace(row=edited), *LOG[at + 1 :]]
    [finding] = verify(entries, GOOD).findings
    assert (finding.kind, finding.seq) == ("edited", at)
    assert finding.text.startswith(f"row {at} (id {edited.id}: ")
    assert finding.text.endswith("was edited after it was sequenced")


def test_text_can_not_be_moved_between_columns() -> None:
    one = Row(1, 1, "ab", "c", "d", "allowed", "{}", "{}")
    assert leaf_data(one) == b'[1,1,1,"ab","c","d","allowed","{}","{}"]'
    assert leaf_of(one) != leaf_of(msgspec.structs.replace(one, actor="a", action="bc"))


def test_a_removed_row_is_named() -> None:
    assert kinds([*LOG[:5], LOG[5]._replace(row=None), *LOG[6:]]) == [("removed", 5)]


def test_rows_that_changed_places_are_named_with_where_they_stood() -> None:
    swapped = list(LOG)
    swapped[2], swapped[9] = LOG[2]._replace(row=ROWS[9]), LOG[9]._replace(row=ROWS[2])
    assert kinds(swapped) == [("reordered", 2), ("reordered", 9)]
    assert (
        verify(swapped, GOOD)
        .findings[0]
        .text.endswith("stands at the place of another: it was sequenced as row 9")
    )


def test_a_row_that_was_cut_out_is_named_although_the_others_closed_ranks() -> None:
    closed = [*LOG[:5], *(LOG[n]._replace(row=ROWS[n + 1]) for n in range(5, 11)), LOG[11]._replace(row=None)]
    assert ("removed", 5) in kinds(closed)


def test_an_edit_with_its_hash_made_anew_contradicts_the_signature() -> None:
    row = msgspec.structs.replace(ROWS[6], actor="people/eve")
    entries = [*LOG[:6], Sequenced(6, leaf_of(row), row), *LOG[7:]]
    report = verify(entries, GOOD)
    assert [(each.kind, each.seq, each.until) for each in report.findings] == [
        ("rewritten", 4, 8),
        ("rewritten", 4, 12),
    ]
    assert report.covered == 4
    assert (
        report.findings[0].text == "rows 4 to 7 are not those that the checkpoint of size 8 was signed over"
    )


def test_a_log_cut_short_is_told_by_a_checkpoint_that_was_signed() -> None:
    [finding] = verify(LOG[:8], GOOD).findings
    assert finding.text == "rows 8 to 11 were removed: a checkpoint of size 12 was signed"
    assert kinds([], GOOD) == [("truncated", 0)]


def test_a_witness_knows_what_the_server_denies() -> None:
    row = msgspec.structs.replace(ROWS[3], verdict="refused")
    forged = [*LOG[:3], Sequenced(3, leaf_of(row), row), *LOG[4:]]
    resigned = signed(forged, 4, 8, 12)
    assert verify(forged, resigned).ok
    assert kinds(forged, [*resigned, *signed(LOG, 8)]) == [("rewritten", 4)]
    assert kinds(forged, signed(LOG, 4)) == [("rewritten", 0)]
