"""What a stored scope and a role may look like, and why roles that feed each other with parameters are refused.

A parameterised scope `assume:pre<..>post` of a role `P*` hands its parameter on to other roles. If such hand-overs form
a cycle, an expansion need not end; so they must form none. Plain (unparameterised) cycles do no harm.

Source: docs/reference/access.md#roles
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from liftlock.domain.scopes.satisfaction import is_scope
from liftlock.errors import DependencyCycleError, InputInvalidError

PARAMETER: Final = "<..>"
MAX_DERIVED: Final = 10_000
"""Scopes that one parameter may lead to through parameterised roles, over all paths."""
_ASSUME: Final = "assume:"


def check_stored_scopes(scopes: Iterable[str]) -> None:
    """Refuse scopes that must not be stored in a client or a role.

    Raises:
        InputInvalidError: one is not printable ASCII, or ends in `**` (it would satisfy what it does not contain).
    """
    for scope in scopes:
        if not is_scope(scope):
            raise InputInvalidError(f"scope {scope[:64]!r}: expected printable ASCII")
        if scope.endswith("**"):
            raise InputInvalidError(f"scope {scope!r}: must not end in `**`; write one `*`")


def check_role(role_id: str, scopes: Iterable[str]) -> None:
    """Refuse a role whose scopes can not be given.

    Raises:
        InputInvalidError: as `check_stored_scopes`; or the role is `P*` and a scope has more than one `<..>`, or a
            `*<..>`.
    """
    listed = tuple(scopes)
    check_stored_scopes(listed)
    if not role_id.endswith("*"):
        return
    for scope in listed:
        if scope.count(PARAMETER) > 1:
            raise InputInvalidError(f"scope {scope!r} of role {role_id!r}: at most one `<..>` is allowed")
        if "*" + PARAMETER in scope:
            raise InputInvalidError(f"scope {scope!r} of role {role_id!r}: `*<..>` is not allowed")


def check_cycles(patterns: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Refuse parameterised roles that feed each other in a cycle, or that multiply without measure.

    Args:
        patterns: role id `P*` to the (before, after) of each of its parameterised scopes.
    Raises:
        DependencyCycleError: there is a cycle; the message names it.
        InputInvalidError: one parameter leads to more than `MAX_DERIVED` scopes.
    """
    feeds = {role_id: _fed_by(parts, patterns) for role_id, parts in patterns.items()}
    derived: dict[str, int] = {}
    for start in sorted(patterns):
        if start not in derived:
            _walk(start, feeds, patterns, derived)


def _fed_by(parts: Sequence[tuple[str, str]], patterns: Mapping[str, object]) -> list[str]:
    """Return the roles that scopes starting like `parts` can match, once for each scope that can."""
    fed: list[str] = []
    for before, _ in parts:
        if before.startswith(_ASSUME):
            start = before[len(_ASSUME) :]
            fed += [role for role in patterns if start.startswith(role[:-1]) or role[:-1].startswith(start)]
        elif _ASSUME.startswith(before):
            fed += patterns
    return fed


def _walk(
    start: str,
    feeds: Mapping[str, list[str]],
    patterns: Mapping[str, Sequence[tuple[str, str]]],
    derived: dict[str, int],
) -> None:
    """Visit depth first without recursion; `derived` gets the number of scopes that each finished role leads to."""
    path = [start]
    on_path = {start}
    rest = [iter(feeds[start])]
    while path:
        following = next(rest[-1], None)
        if following is None:
            done = path.pop()
            rest.pop()
            on_path.discard(done)
            derived[done] = len(patterns[done]) + sum(derived[each] for each in feeds[done])
            if derived[done] > MAX_DERIVED:
                raise InputInvalidError(
                    f"role {done!r}: through the roles that it feeds, its parameter leads to more than {MAX_DERIVED} scopes"
                )
        elif following in on_path:
            cycle = [*path[path.index(following) :], following]
            raise DependencyCycleError(
                "roles feed each other their parameter in a cycle: " + " → ".join(cycle)
            )
        elif following not in derived:
            path.append(following)
            on_path.add(following)
            rest.append(iter(feeds[following]))
