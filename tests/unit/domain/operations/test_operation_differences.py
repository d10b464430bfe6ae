"""How a distribution differs from its last release and from the source tree."""

from __future__ import annotations

from distribution_builders import METADATA, SDIST_NAME, WHEEL_NAME, sdist, wheel
from liftlock.domain.operations.differences import (
    MAX_ENTRIES,
    DifferenceQuestion,
    counterpart_of,
    difference,
    members,
    places,
    previous_release,
)

SDIST, WHEEL = f"dist/{SDIST_NAME}", f"dist/{WHEEL_NAME}"


def against_source(content: bytes, source: dict[str, bytes | None], path: str = SDIST) -> DifferenceQuestion:
    return DifferenceQuestion(path, content, "source", "a" * 40, source, sorted(source))


def test_a_file_that_the_source_does_not_have_is_added_and_a_changed_one_shows_its_lines() -> None:
    content = sdist(members={"gadget-1.0/a.py": b"x = 2\n", "gadget-1.0/evil.py": b"steal()\n"})
    found = difference(against_source(content, {"a.py": b"x = 1\n", "tests/test_a.py": b"1\n"}))
    assert [(one.path, one.status, one.before, one.after) for one in found.entries] == [
        ("PKG-INFO", "added", None, found.entries[0].after),
        ("a.py", "changed", 6, 6),
        ("evil.py", "added", None, 8),
        ("tests/test_a.py", "removed", None, None),
    ]
    assert found.entries[1].text == "@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n"
    assert found.entries[2].text == "@@ -0,0 +1,1 @@\n+steal()\n"
    assert (found.same, found.left_off, found.problem) == (0, 0, "")


def test_a_wheel_is_compared_with_where_the_source_keeps_its_files_and_is_no_list_of_what_it_lacks() -> None:
    content = wheel(extra={"gadget/one.py": b"1\n", "gadget/two.py": b"2\n"})
    source = {"src/gadget/one.py": b"1\n", "python/lib/gadget/two.py": b"two\n", "README": b"x"}
    found = difference(against_source(content, dict(source), WHEEL))
    changed = {one.path: one.status for one in found.entries}
    assert changed["gadget/two.py"] == "changed"
    assert "gadget/one.py" not in changed
    assert "README" not in changed
    assert found.same == 1


def test_a_member_is_found_by_its_path_below_src_or_as_the_only_one_that_ends_so() -> None:
    tree = ["a.py", "src/a.py", "src/b.py", "x/c.py", "y/c.py", "x/d.py"]
    assert places(["a.py", "b.py", "c.py", "d.py", "e.py"], tree) == {
        "a.py": "a.py",
        "b.py": "src/b.py",
        "d.py": "x/d.py",
    }


def test_the_last_release_is_compared_member_by_member() -> None:
    last = sdist(members={"gadget-1.0/a.py": b"1\n", "gadget-1.0/b.py": b"2\n"})
    now = sdist(members={"gadget-1.0/a.py": b"1\n", "gadget-1.0/c.py": b"3\n"})
    found = difference(
        DifferenceQuestion(SDIST, now, "last", "dist/old.tar.gz", {"dist/gadget-0.9.tar.gz": last})
    )
    assert found.problem == "gadget-0.9.tar.gz: expected everything in the one folder gadget-0.9"
    found = difference(DifferenceQuestion(SDIST, now, "last", SDIST, {SDIST: last}))
    assert [(one.path, one.status) for one in found.entries] == [("b.py", "removed"), ("c.py", "added")]
    assert found.same == 2


def test_a_wheels_metadata_are_compared_although_their_folder_has_another_name() -> None:
    last, now = (wheel(metadata=METADATA.replace("Bells", text)) for text in ("Bells", "More bells"))
    found = difference(DifferenceQuestion(WHEEL, now, "last", WHEEL, {WHEEL: last}))
    assert [one.path for one in found.entries] == ["*.dist-info/METADATA", "*.dist-info/RECORD"]
    assert "-Summary: Bells\n+Summary: More bells\n" in found.entries[0].text


def test_what_is_no_distribution_says_so_and_a_plain_file_is_compared_as_it_is() -> None:
    found = difference(DifferenceQuestion(SDIST, b"no", "source", "", {}))
    assert found.problem.startswith("gadget-1.0.tar.gz: it can't be read")
    place = DifferenceQuestion("tree/a.txt", b"2\n", "source", "", {"a.txt": b"1\n"}, [], "a.txt")
    assert difference(place).entries[0].text == "@@ -1,1 +1,1 @@\n-1\n+2\n"
    new = DifferenceQuestion("tree/a.txt", b"2\n", "source", "", {}, [], "a.txt")
    assert difference(new).entries[0].status == "added"


def test_a_source_file_that_is_too_large_is_never_called_the_same() -> None:
    content = sdist(members={"gadget-1.0/big": b"1\n"})
    [_, entry] = difference(against_source(content, {"big": None})).entries
    assert (entry.path, entry.status, entry.note) == (
        "big",
        "changed",
        "the source's file is too large to be compared",
    )


def test_more_entries_than_are_listed_are_counted() -> None:
    many = {f"gadget-1.0/{number:05d}": b"x" for number in range(MAX_ENTRIES + 9)}
    found = difference(against_source(sdist(members=many), {"left/out": b""}))
    assert len(found.entries) == MAX_ENTRIES
    assert found.left_off == 11


def test_names_that_hide_something_are_shown_as_what_they_are() -> None:
    found = difference(against_source(sdist(members={"gadget-1.0/a\u202eyp": b""}), {}))
    assert [one.path for one in found.entries] == ["PKG-INFO", "a\\u202eyp"]


def test_a_wheel_follows_on_the_one_of_the_same_tags_and_an_sdist_on_the_sdist() -> None:
    last = [
        "dist/gadget-0.9-py3-none-any.whl",
        "dist/gadget-0.9-cp311-cp311-linux_x86_64.whl",
        "dist/gadget-0.9.tar.gz",
    ]
    assert counterpart_of(WHEEL, last) == last[0]
    assert counterpart_of("dist/gadget-1.0-cp311-cp311-linux_x86_64.whl", last) == last[1]
    assert counterpart_of(SDIST, last) == last[2]
    assert counterpart_of("dist/gadget-1.0-cp312-cp312-linux_x86_64.whl", last) is None
    assert counterpart_of("notes.txt", last) is None
    assert counterpart_of("notes.txt", [*last, "notes.txt"]) == "notes.txt"


def test_members_are_listed_without_reading_metadata() -> None:
    assert members(SDIST, sdist(metadata="nonsense", members={"gadget-1.0/a.py": b""})) == [
        "PKG-INFO",
        "a.py",
    ]


def test_the_last_release_is_the_newest_before_the_version_or_the_newest_there_is() -> None:
    names = [
        "gadget-0.9.tar.gz",
        "gadget-0.9-py3-none-any.whl",
        "gadget-0.10.tar.gz",
        "gadget-1.0.tar.gz",
        "gadget-2.0.tar.gz",
        "gadget-1.0rc1.tar.gz",
        "notes.txt",
        "broken.whl",
        "gadget-x.tar.gz",
    ]
    assert previous_release(names, "0.10") == ["gadget-0.9-py3-none-any.whl", "gadget-0.9.tar.gz"]
    assert previous_release(names, "1.0") == ["gadget-1.0rc1.tar.gz"]
    assert previous_release(names, "3.0") == ["gadget-2.0.tar.gz"]
    assert previous_release(names, "0.1") == ["gadget-2.0.tar.gz"]
    assert previous_release(["gadget-1.0.tar.gz"], "1.0") == []
    assert previous_release(names, "no version") == []
