"""The order in which inputs are prepared: an input that is found through another's lock file comes after that one."""

from __future__ import annotations

from liftlock.domain.inputs.declarations import (
    Declaration,
    Git,
    Lock,
    Mount,
    Npm,
    Pip,
    Served,
    Snapshot,
    Unpack,
)
from liftlock.domain.inputs.places import in_scratch
from liftlock.errors import InputValidationError


def order(inputs: tuple[Declaration, ...]) -> tuple[Declaration, ...]:
    """Return `inputs`, as declared but for locked ones, which come after the input that holds their lock.

    Raises:
        InputValidationError: a lock names no input, or one that can't hold a lock file.
    """
    named = {one.name: one for one in inputs}
    first: list[Declaration] = []
    locked: list[Declaration] = []
    for one in inputs:
        if isinstance(one.source, Pip | Npm):
            _check_lock(one, one.source.lock, named)
            locked.append(one)
        else:
            first.append(one)
    return (*first, *locked)


def _check_lock(one: Declaration, lock: Lock, named: dict[str, Declaration]) -> None:
    at = f"{one.at}.{one.kind}.lock"
    holder = named.get(lock.input)
    if holder is None:
        raise InputValidationError(
            f"{at}.input: no input is called {lock.input!r}; expected one of: {', '.join(sorted(named))}",
            path=at,
        )
    if isinstance(holder.source, Pip | Npm | Snapshot):
        raise InputValidationError(
            f"{at}.input: {holder.name!r} is a {holder.kind} input itself, which holds no lock", path=at
        )
    is_tree = isinstance(holder.source, Git) or (isinstance(holder.place, Unpack) and holder.place.archive)
    if is_tree and lock.path is None:
        raise InputValidationError(
            f"{at}.path: missing; it must say which file of {holder.name!r} is the lock", path=at
        )
    if not is_tree and lock.path is not None:
        raise InputValidationError(
            f"{at}.path: {holder.name!r} is one file; expected no path (the input is the lock)", path=at
        )


def lock_path(holder: Declaration, lock: Lock) -> str | None:
    """Return where in the scratch (relative to /build) the lock lies; None: it is the bytes of `holder` in the store."""
    if isinstance(holder.place, Mount | Served):
        return None
    base = in_scratch(holder.place.path)
    return base if lock.path is None else f"{base}/{lock.path}"
