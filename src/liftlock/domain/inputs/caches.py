"""Writable caches: what a task asks for, which it is given, and what that makes of its trust level. Pure.

A cache belongs to one pool and one level. A run's caches are all of one level, and its results prove no more than that.

Source: docs/reference/inputs.md#caches
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from liftlock.domain.inputs.fields import Fields, text, unique, whole, wrong
from liftlock.domain.inputs.places import BUILD, INPUTS, is_hidden, is_plain, overlaps
from liftlock.domain.inputs.policy import PoolPolicy
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import InputValidationError

MAX_CACHES = 20
SCOPES = ("worker:cache:", "docker-worker:cache:", "generic-worker:cache:")
"""Each followed by the cache's name: what a task needs, in one of the three spellings that generators use."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,254}\Z", re.ASCII)
_TAKEN = frozenset(
    ("proc", "dev", "sys", "etc", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "run", "tmp")
)


class Cache(msgspec.Struct, frozen=True):
    """One cache as asked for. `level`: None means the task's own. `at`: its path in the payload, for messages."""

    name: str
    path: str
    level: int | None
    at: str


class Granted(msgspec.Struct, frozen=True):
    """One cache that the run gets. `key` is the same for the same pool, level, name and openness, and for no other."""

    name: str
    path: str
    level: int
    key: str


def caches(value: object, path: str) -> tuple[Cache, ...]:
    """Read `payload.caches`: `[{name, mount, level}]`; names and places are each other's none."""
    if not isinstance(value, list) or len(value) > MAX_CACHES:
        wrong(path, f"a list of at most {MAX_CACHES} caches", value)
    found = tuple(_cache(one, f"{path}[{index}]") for index, one in enumerate(value))
    unique(((one.name, f"{one.at}.name") for one in found), "name")
    check_apart(found, [])
    return found


def check_apart(found: tuple[Cache, ...], others: list[tuple[str, str]]) -> None:
    """Raise InputValidationError if a cache lies in the way of another, or of one of `others`, (what, place) each."""
    taken = list(others)
    for one in found:
        for what, place in taken:
            if overlaps(one.path, place):
                raise InputValidationError(
                    f"{one.at}: {one.path} lies in the way of {what} at {place}; expected places apart",
                    path=one.at,
                )
        taken.append((one.name, one.path))


def grant(
    asked: tuple[Cache, ...],
    *,
    pool: str,
    level: int,
    is_open: bool,
    policy: PoolPolicy,
    scopes: tuple[str, ...],
) -> tuple[Granted, ...]:
    """Return the caches that a task of `level` in `pool` gets.

    What runs with an open network has caches apart from what does not: what came from anywhere stays there.

    Raises:
        InputValidationError: it lacks a scope, or asks for a level that is above its own, not that of its other
            caches, or below its own where the pool's policy does not permit that.
    """
    held = ScopeSet(scopes)
    shared = min((one.level for one in asked if one.level is not None), default=level)
    granted = []
    for one in asked:
        if not any(held.satisfies(f"{prefix}{one.name}") for prefix in SCOPES):
            raise InputValidationError(
                f"{one.at}: a cache needs the scope {SCOPES[0]}{one.name} in task.scopes", path=one.at
            )
        _check_level(one, level, shared, policy)
        key = cache_key(pool, shared, one.name, is_open=is_open)
        granted.append(Granted(one.name, one.path, shared, key))
    return tuple(granted)


def cache_key(pool: str, level: int, name: str, *, is_open: bool) -> str:
    """Return what a cache is kept under: lower-case letters, digits and hyphens, at most 80."""
    openness = "open" if is_open else "closed"
    told = hashlib.sha256(f"{pool}\0{level}\0{openness}\0{name}".encode()).hexdigest()[:40]
    return f"l{level}-{openness}-{told}"


def wire(one: Granted, pool: str, *, made: str, fresh: bool) -> dict[str, Any]:
    """Return what the manifest says of a cache that the run was given."""
    return {
        "name": one.name,
        "mount": one.path,
        "level": one.level,
        "pool": pool,
        "writable": True,
        "made": made,
        "fresh": fresh,
    }


def _check_level(one: Cache, level: int, shared: int, policy: PoolPolicy) -> None:
    at = f"{one.at}.level"
    if (one.level or level) > level:
        wrong(at, f"at most the task's own level, {level}", one.level)
    if (one.level or level) != shared:
        raise InputValidationError(
            f"{at}: all caches of a task have one level, else what a lower one holds gets into a higher one;"
            f" expected {shared}, found {one.level or level}",
            path=at,
        )
    if shared < level and not policy.caches.lower_levels:
        raise InputValidationError(
            f"{at}: the pool's policy does not let a task of level {level} use a cache of level {shared}",
            path=at,
        )


def _cache(value: object, path: str) -> Cache:
    fields = Fields(value, path)
    name = fields.take(
        "name", text(expected="a name of [A-Za-z0-9_.+-], at most 255 characters", fits=_NAME.match)
    )
    where = fields.take("mount", _place)
    level = fields.get("level", whole(1, 3), None)
    fields.done()
    return Cache(name, where, level, path)


def _place(value: object, path: str) -> str:
    """Read where a cache lies: an absolute plain path below /build, or below a directory that is nobody's."""
    expected = (
        f"an absolute path of plain names, below {BUILD} or a directory of the task's own such as /cache"
    )
    if not isinstance(value, str) or not value.startswith("/") or not is_plain(value[1:]):
        wrong(path, expected, value)
    top = value.split("/")[1]
    if top in _TAKEN or value == BUILD or overlaps(value, INPUTS) or is_hidden(value):
        wrong(path, expected, value)
    return value
