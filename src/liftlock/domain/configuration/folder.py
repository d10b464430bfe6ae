"""A folder of files, read whole: every entry with the place that it stands on, or everything that is wrong.

Source: docs/reference/configuration.md#files
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from liftlock.domain.configuration.kinds import (
    ENTRIES,
    LISTS,
    ActionsEntry,
    ClientEntry,
    GrantEntry,
    GroupEntry,
    HookEntry,
    NeverEntry,
    PoolEntry,
    ProjectEntry,
    RoleEntry,
    SecretEntry,
    Settings,
)
from liftlock.domain.configuration.reading import FilesRefusedError, Place, Problem, read_yaml
from liftlock.domain.operations.definition import OperationSet, parse_operations
from liftlock.domain.pushes.gate_policy import parse_policy
from liftlock.errors import InputInvalidError, InputValidationError

SETTINGS: Final = "liftlock.yml"
GATE: Final = "gate.toml"
OPERATIONS: Final = "operations.yml"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One entry: its name (a list's entries have none), what it says, and where."""

    name: str
    said: T
    place: Place


Entries = dict[str, Entry[T]]


@dataclass(frozen=True, slots=True)
class Folder:
    """All that the files say."""

    settings: Settings
    projects: Entries[ProjectEntry] = field(default_factory=dict)
    grants: tuple[Entry[GrantEntry], ...] = ()
    roles: Entries[RoleEntry] = field(default_factory=dict)
    groups: Entries[GroupEntry] = field(default_factory=dict)
    actions: Entries[ActionsEntry] = field(default_factory=dict)
    hooks: Entries[HookEntry] = field(default_factory=dict)
    clients: Entries[ClientEntry] = field(default_factory=dict)
    pools: Entries[PoolEntry] = field(default_factory=dict)
    secrets: Entries[SecretEntry] = field(default_factory=dict)
    never: tuple[Entry[NeverEntry], ...] = ()
    operations: OperationSet = field(default_factory=OperationSet)


def kind_of(file: str) -> str | None:
    """Return the kind of the file at that path in the folder, None if it is none of ours.

    `grants.yml` and everything below `grants/` hold grants, and so on.
    """
    if file == SETTINGS:
        return "liftlock"
    if file in _ELSEWHERE:
        return file
    top, below, _ = file.partition("/")
    if not file.endswith((".yml", ".yaml")):
        return None
    kind = top if below else file.rpartition(".")[0]
    return kind if kind in ENTRIES else None


def read_folder(files: Mapping[str, bytes]) -> Folder:
    """Return what the files (path in the folder → content) say.

    Raises:
        FilesRefusedError: with every problem: files of no kind, entries of no sense, names that are given twice.
    """
    reader = _Reader()
    for file in sorted(files):
        reader.read(file, files[file])
    settings = reader.settings
    if settings is None and not reader.problems:
        reader.problems.append(
            Problem(Place(SETTINGS), "expected version, name and managed; there is no such file")
        )
    if reader.problems or settings is None:
        raise FilesRefusedError(reader.problems)
    return Folder(settings, operations=reader.operations, **cast(Any, reader.found))


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.settings: Settings | None = None
        self.operations = OperationSet()
        self.found: dict[str, Any] = {kind: () if kind in LISTS else {} for kind in ENTRIES}

    def read(self, file: str, content: bytes) -> None:
        """Take in one file, or note what is wrong with it."""
        kind = kind_of(file)
        try:
            if kind is None:
                self.problems.append(_of_no_kind(file))
                return
            if kind in _ELSEWHERE:
                self.operations = _check_elsewhere(file, content) or self.operations
                return
            document = read_yaml(file, content)
            if document is None:
                return
            if kind == "liftlock":
                self.settings = document.to(Settings)
                return
            for entry in self._entries(kind, document):
                self._add(kind, entry)
        except FilesRefusedError as error:
            self.problems += error.problems

    def _entries(self, kind: str, document: Any) -> Iterator[Entry[Any]]:
        parts = (("", item.place, item) for item in document.items()) if kind in LISTS else document.entries()
        for name, place, value in parts:
            try:
                yield Entry(name, value.to(ENTRIES[kind]), place)
            except FilesRefusedError as error:
                self.problems += [
                    Problem(each.place, f"{name}: {each.message}" if name else each.message)
                    for each in error.problems
                ]

    def _add(self, kind: str, entry: Entry[msgspec.Struct]) -> None:
        if kind in LISTS:
            self.found[kind] = (*self.found[kind], entry)
            return
        before = self.found[kind].setdefault(entry.name, entry)
        if before is not entry:
            self.problems.append(
                Problem(entry.place, f"{entry.name} is given twice, first at {before.place}")
            )


def _of_no_kind(file: str) -> Problem:
    known = ", ".join(f"{each}.yml" for each in ("liftlock", *ENTRIES))
    return Problem(Place(file), f"expected one of {known}, {GATE}, or a folder of such a name")


def _check_elsewhere(file: str, content: bytes) -> OperationSet | None:
    """Check a file that is given to another program, with that program's parser; return what operations it has."""
    try:
        text = content.decode("utf-8")
        if file == GATE:
            parse_policy(text, what="gate policy")
            return None
        return parse_operations(text)
    except (UnicodeDecodeError, InputInvalidError, InputValidationError) as error:
        said = str(error) if isinstance(error, UnicodeDecodeError) else error.message
        raise FilesRefusedError([Problem(Place(file), said)]) from error


_ELSEWHERE: Final = (GATE, OPERATIONS)
"""Files that are checked here, and given to the programs that read them by their operators."""
