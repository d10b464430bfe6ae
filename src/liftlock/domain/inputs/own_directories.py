"""Directories at the top of an image that a task gets as its own: writable copies in its scratch. Pure.

A scratch holds them below `.root`, which its task sees at their own places and nowhere else. So an artifact of theirs is a
file of the scratch like any other, opened by the same rules.

Source: docs/reference/inputs.md#own; docs/adr/0023-a-tasks-own-directories-lie-in-its-scratch.md
"""

from __future__ import annotations

import re

from liftlock.domain.inputs.fields import list_of, unique, wrong
from liftlock.domain.inputs.places import BUILD, INPUTS, OWN, is_plain

MAX_OWN = 10
_TOP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}\Z", re.ASCII)
_SYSTEM = frozenset(
    ("proc", "dev", "sys", "etc", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "run")
)
_LIFTLOCKS = frozenset((BUILD[1:], INPUTS[1:]))


def can_be_own(name: str) -> bool:
    """Tell whether the directory `name` at the top of a root may be a task's own."""
    return _TOP.match(name) is not None and name not in _SYSTEM and name not in _LIFTLOCKS


def own_directories(value: object, path: str) -> tuple[str, ...]:
    """Read `payload.own`: `["/builds", …]`; return their names, without the slash."""
    found = list_of(_directory, most=MAX_OWN)(value, path)
    unique(((name, f"{path}[{index}]") for index, name in enumerate(found)), "directory")
    return found


def top_of(place: str) -> str | None:
    """Return the name of the directory at the top of the root in which the absolute path `place` lies, if it may be own."""
    if not place.startswith("/") or not is_plain(place[1:]):
        return None
    name = place.split("/")[1]
    return name if can_be_own(name) else None


def artifact_path(value: object, path: str, own: tuple[str, ...]) -> str:
    """Read where an artifact lies; return it relative to the scratch.

    It is relative to /build, or absolute and below /build or one of the task's own directories.
    """
    expected = "a path of plain names, relative to /build"
    if own:
        expected += f", or an absolute one below {', '.join(f'/{name}' for name in own)}"
    if not isinstance(value, str):
        wrong(path, expected, value)
    found = value.removeprefix(f"{BUILD}/")
    if found.startswith("/") and top_of(found) in own:
        return f"{OWN}{found}"
    if found != "." and (not is_plain(found) or found.split("/")[0] == OWN):
        wrong(path, expected, value)
    return found


def implied(places: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """Return `own` with the directories in which `places` lie, each once; places that lie in none are left out."""
    found = list(own)
    for place in places:
        name = top_of(place)
        if name is not None and name not in found:
            found.append(name)
    return tuple(found)


def _directory(value: object, path: str) -> str:
    if not isinstance(value, str) or not value.startswith("/") or not can_be_own(value[1:]):
        wrong(path, "a directory at the top such as /builds, none of the system's or liftlock's", value)
    return value[1:]
