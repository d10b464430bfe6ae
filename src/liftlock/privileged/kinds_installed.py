"""Which privileged operations there are: liftlock's own, and those that the worker's environment has installed.

A plug-in is a class, named by the entry point `liftlock.privileged_operations`. It counts in the privileged worker's own
environment only; a repository can't bring one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from liftlock.domain.operations.definition import OperationSet
from liftlock.ports.confined_parser import Parsing
from liftlock.privileged.kinds.commit_files import CommitFiles
from liftlock.privileged.kinds.move_ref import MoveRef
from liftlock.privileged.kinds.promote_release import PromoteRelease
from liftlock.privileged.kinds.publish_distribution import PublishDistribution
from liftlock.privileged.kinds.sign_artifacts import SignArtifacts
from liftlock.privileged.performing import PrivilegedOperation, WrongSettingsError

GROUP: Final = "liftlock.privileged_operations"


def installed(points: Iterable[EntryPoint] | None = None) -> dict[str, PrivilegedOperation]:
    """Return every kind by name.

    Raises:
        WrongSettingsError: two have the same name; nobody replaces one of liftlock's.
    """
    own: list[PrivilegedOperation] = [
        PublishDistribution(),
        CommitFiles(),
        SignArtifacts(),
        PromoteRelease(),
        MoveRef(),
    ]
    found = {one.kind: one for one in own}
    for point in entry_points(group=GROUP) if points is None else points:
        made: PrivilegedOperation = point.load()()
        if made.kind in found:
            raise WrongSettingsError(
                f"{point.value}: the privileged operation {made.kind!r} is there already"
            )
        found[made.kind] = made
    return found


def check_all(own: OperationSet, kinds: Mapping[str, PrivilegedOperation], queue: str) -> None:
    """Return if everything that this queue has to perform can be performed; WrongSettingsError names what can't."""
    for operation in own.operations.values():
        if operation.stage2.queue != queue:
            continue
        kind = kinds.get(operation.stage2.kind)
        if kind is None:
            known = ", ".join(sorted(kinds))
            raise WrongSettingsError(
                f"operations.{operation.name}.stage2.kind: expected one of {known}, got {operation.stage2.kind!r}"
            )
        kind.check(operation)


def parsings_of(kinds: Mapping[str, PrivilegedOperation], own: Mapping[str, Parsing]) -> dict[str, Parsing]:
    """Return every parsing by name: liftlock's `own`, and those of each kind as `<kind>.<parsing>`."""
    found = dict(own)
    for name, kind in kinds.items():
        found |= {f"{name}.{parsing}": each for parsing, each in kind.parsings.items()}
    return found
