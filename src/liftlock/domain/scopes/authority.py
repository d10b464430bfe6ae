"""By what a caller was allowed to do something, short enough to be written down with everything that it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from liftlock.domain.scopes.roles import ASSUME
from liftlock.domain.scopes.satisfaction import Expression, satisfies

MAX_NEEDED: Final = 40
"""Scopes named in one record, at most."""
MAX_THROUGH: Final = 20


def authority_of(needs: Iterable[Expression], own: Sequence[str], access_version: int) -> dict[str, Any]:
    """Return what was needed, through which of the caller's own scopes it had it, and the version of roles it rests on.

    A scope of its own that satisfies a need is named as it is; for what none satisfies directly, the roles that the
    caller assumes are named. With that version of the roles anybody can work out the chain.
    """
    needed = tuple(dict.fromkeys(scope for need in needs for scope in _leaves(need)))
    through = (_through if len(needed) <= MAX_NEEDED else _through.__wrapped__)(needed, tuple(own))
    return {
        "needed": _short(list(needed), MAX_NEEDED),
        "through": _short(list(through), MAX_THROUGH),
        "accessVersion": access_version,
    }


@lru_cache(maxsize=256)
def _through(needed: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of `own` that give what is needed; the tasks of one group ask the same again and again."""
    assumed = dict.fromkeys(held for held in own if held.startswith(ASSUME))
    through: dict[str, None] = {}
    for scope in needed:
        for held in own:
            if satisfies(held, scope):
                through[held] = None
                break
        else:
            through |= assumed
    return tuple(through)


def _leaves(need: Expression) -> list[str]:
    """Return the scopes that `need` names, in order."""
    if isinstance(need, str):
        return [need]
    return [scope for part in need.parts for scope in _leaves(part)]


def _short(scopes: list[str], limit: int) -> list[str]:
    left = len(scopes) - limit
    return scopes if left <= 0 else [*scopes[:limit], f"(and {left} more)"]
