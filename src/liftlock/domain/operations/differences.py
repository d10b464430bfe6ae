"""How one file that crosses differs from its last release, or from the source tree: for people who approve it.

Meant for a confined process: every byte is hostile. What is shown is bounded, and nothing in it is invisible.

Source: docs/reference/approvals.md#differences
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from liftlock.domain.operations.distributions import unpacked
from liftlock.domain.operations.text_differences import Budget, text_difference, visible
from liftlock.errors import InputValidationError

MAX_ENTRIES: Final = 1_000
"""Entries that one difference lists; further ones are counted."""
PACKED: Final = (".whl", ".tar.gz")

Against = Literal["last", "source"]
Status = Literal["added", "removed", "changed"]


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One member that differs. Sizes in bytes, None where it does not exist; `text` is a unified difference, bounded.

    `note` says why there is no text, or not all of it.
    """

    path: str
    status: Status
    before: int | None
    after: int | None
    text: str = ""
    note: str = ""


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """One file that crosses, against what `against` and `counterpart` name. `entries` sorted by path.

    `same`: how many members are equal; `left_off`: how many that differ are not listed; `problem`: why there is no comparison.
    """

    path: str
    against: Against
    counterpart: str
    same: int = 0
    entries: tuple[Entry, ...] = ()
    left_off: int = 0
    problem: str = ""


class DifferenceQuestion(msgspec.Struct, frozen=True):
    """What is compared. `before` by name for `last`: one file; for `source`: the candidates of the tree, None: too large.

    `tree`: every path of the source; `place`: for a plain file, which path of the source it is.
    """

    path: str
    now: bytes
    against: Against
    counterpart: str
    before: dict[str, bytes | None]
    tree: list[str] = []
    place: str = ""


def is_packed(path: str) -> bool:
    """Tell whether the file is a distribution, whose members are compared."""
    return path.endswith(PACKED)


def members(path: str, content: bytes) -> list[str]:
    """Return the sorted paths of what the distribution holds; errors as `unpacked`."""
    return sorted(unpacked(path.rpartition("/")[2], content))


def counterpart_of(path: str, last: Sequence[str]) -> str | None:
    """Return which file of the last release `path` follows on: of the same kind and tags, or of the same path."""
    if not is_packed(path):
        return path if path in last else None
    return next((each for each in sorted(last) if _kind(each) == _kind(path)), None)


def _kind(path: str) -> object:
    name = path.rpartition("/")[2]
    if not name.endswith(".whl"):
        return ".tar.gz" if name.endswith(".tar.gz") else None
    try:
        project, _, build, tags = parse_wheel_filename(name)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return project, build, tags


def previous_release(filenames: Sequence[str], version: str) -> list[str]:
    """Return the files of the newest release before `version`, sorted; of the newest at all if none is older; perhaps none."""
    releases: dict[Version, list[str]] = {}
    for name in filenames:
        found = _version_of(name)
        if found is not None:
            releases.setdefault(found, []).append(name)
    try:
        own = Version(version)
    except InvalidVersion:
        return []
    releases.pop(own, None)
    older = [each for each in releases if each < own]
    return sorted(releases[max(older or releases)]) if releases else []


def _version_of(filename: str) -> Version | None:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1] if filename.endswith(".tar.gz") else None
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def places(found: Sequence[str], tree: Sequence[str]) -> dict[str, str]:
    """Return member → path in the source tree: the same path, that below `src/`, or the only one that ends with it."""
    known = set(tree)
    endings: dict[str, list[str]] = {}
    for path in tree:
        endings.setdefault(path.rpartition("/")[2], []).append(path)
    made = {}
    for member in found:
        direct = next((each for each in (member, f"src/{member}") if each in known), None)
        others = [each for each in endings.get(member.rpartition("/")[2], ()) if each.endswith(f"/{member}")]
        if direct is not None:
            made[member] = direct
        elif len(others) == 1:
            made[member] = others[0]
    return made


def difference(question: DifferenceQuestion) -> Difference:
    """Return how the file differs; what can't be compared is said in `problem`."""
    try:
        now = _members_of(question.path, question.now)
        before, left_out = _before(question, now)
    except InputValidationError as error:
        return Difference(
            question.path, question.against, question.counterpart, problem=visible(error.message)
        )
    return _compared(question, before, now, left_out)


def _members_of(path: str, content: bytes) -> dict[str, bytes | None]:
    if not is_packed(path):
        return {path: content}
    return {_without_version(each): one for each, one in unpacked(path.rpartition("/")[2], content).items()}


def _without_version(member: str) -> str:
    """Return the member's path; a wheel's `.dist-info` folder has the version in its name, which would make all of it new."""
    top, slash, rest = member.partition("/")
    return f"*.dist-info/{rest}" if slash and top.endswith(".dist-info") else member


def _before(
    question: DifferenceQuestion, now: Mapping[str, bytes | None]
) -> tuple[dict[str, bytes | None], list[str]]:
    """Return member → what it was, and the paths of the source that an sdist leaves out."""
    if question.against == "last":
        [(name, content)] = question.before.items()
        if content is None:
            raise InputValidationError(f"{name}: it is too large to be compared")
        return (_members_of(name, content) if is_packed(name) else {question.path: content}), []
    if not is_packed(question.path):
        place = question.place
        return ({question.path: question.before[place]} if place in question.before else {}), []
    found = places(sorted(now), question.tree)
    before = {member: question.before.get(path) for member, path in found.items()}
    left_out = sorted(set(question.tree) - set(found.values())) if question.path.endswith(".tar.gz") else []
    return before, left_out


def _compared(
    question: DifferenceQuestion,
    before: Mapping[str, bytes | None],
    now: Mapping[str, bytes | None],
    left_out: Sequence[str],
) -> Difference:
    budget, same = Budget(), 0
    different = []
    for path in sorted({*before, *now}):
        if path in before and path in now and before[path] is not None and before[path] == now[path]:
            same += 1
        else:
            different.append(path)
    entries = [_entry(path, before, now, budget) for path in different[:MAX_ENTRIES]]
    room = MAX_ENTRIES - len(entries)
    entries += [
        Entry(visible(path), "removed", None, None, note="not in the file") for path in left_out[:room]
    ]
    return Difference(
        question.path,
        question.against,
        question.counterpart,
        same,
        tuple(entries),
        len(different) + len(left_out) - len(entries),
    )


def _entry(
    path: str, before: Mapping[str, bytes | None], now: Mapping[str, bytes | None], budget: Budget
) -> Entry:
    status: Status = "added" if path not in before else "removed" if path not in now else "changed"
    old, new = before.get(path), now.get(path)
    sizes = (None if old is None else len(old), None if new is None else len(new))
    if path in before and old is None:
        return Entry(visible(path), status, *sizes, note="the source's file is too large to be compared")
    text, note = text_difference(old or b"", new or b"", budget)
    return Entry(visible(path), status, *sizes, text, note)
