"""Roles: the rule "whoever satisfies `assume:R` has the scopes of role R", compiled into one immutable snapshot.

Which roles an input matches: (1) `assume:R` the role `R`; (2) `assume:P…` the role `P*`, with the rest as its
parameter; (3) `assume:X*` every role whose id starts with `X`, and every role `Y*` where `Y` is a prefix of `X`;
(4) `*`, `a*`, … `assume*` every role. Nothing else matches one.

Source: docs/reference/access.md#roles
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from liftlock.domain.scopes.role_rules import PARAMETER, check_cycles, check_role
from liftlock.domain.scopes.satisfaction import ScopeSet, split

ASSUME: Final = "assume:"
ANONYMOUS: Final = "assume:anonymous"
_EVERY_ROLE: Final = frozenset(ASSUME[:length] + "*" for length in range(len(ASSUME)))
_MEMO_SCOPES: Final = 500_000
"""Scopes that memoised answers hold altogether, a few dozen megabytes: callers choose what is asked."""
_MEMO_KEY_SCOPES: Final = 100
_MEMO_KEY_CHARS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Role:
    """A role's id and the scopes that it gives, as they are stored."""

    role_id: str
    scopes: tuple[str, ...]


class Match(NamedTuple):
    """A role that an input matched, and the parameter: what stands for `<..>` in its scopes."""

    role: CompiledRole
    parameter: str


class CompiledRole(NamedTuple):
    """A role's scopes parted: `fixed` are given as they are, `patterns` are (before, after) of a `<..>`.

    `prefix` is the id without its `*`; None when the id has none, and then there are no patterns.
    """

    role_id: str
    prefix: str | None
    fixed: tuple[str, ...]
    patterns: tuple[tuple[str, str], ...]

    def stored_scopes(self) -> tuple[str, ...]:
        """Return the role's scopes as they are stored; those with `<..>` come last."""
        return (*self.fixed, *(before + PARAMETER + after for before, after in self.patterns))

    def given(self, parameter: str) -> Iterator[str]:
        """Return every scope that this role gives with `parameter`."""
        yield from self.fixed
        for before, after in self.patterns:
            yield instantiate(before, parameter, after)


def instantiate(before: str, parameter: str, after: str) -> str:
    """Return the scope with `parameter` in place of `<..>`; one that ends in `*` drops what comes after it."""
    return before + parameter if parameter.endswith("*") else before + parameter + after


class _Closure(NamedTuple):
    exact: frozenset[str]
    prefixes: frozenset[str]


def _compile(role: Role) -> CompiledRole:
    if not role.role_id.endswith("*"):
        return CompiledRole(role.role_id, None, role.scopes, ())
    fixed = tuple(scope for scope in role.scopes if PARAMETER not in scope)
    parted = (scope.partition(PARAMETER) for scope in role.scopes if PARAMETER in scope)
    return CompiledRole(role.role_id, role.role_id[:-1], fixed, tuple((part[0], part[2]) for part in parted))


@final
class RoleBook:
    """All roles at one version; expands sets of scopes. Immutable but for memoised answers.

    Raises:
        InputInvalidError: a role's scope is not allowed (`check_role`), or the roles multiply too much.
        DependencyCycleError: parameterised roles feed each other in a cycle.
    """

    def __init__(self, roles: Iterable[Role] = ()) -> None:
        stored = sorted(roles, key=lambda role: role.role_id)
        for role in stored:
            check_role(role.role_id, role.scopes)
        self._ids: list[str] = [role.role_id for role in stored]
        self._roles: list[CompiledRole] = [_compile(role) for role in stored]
        self._by_id = {role.role_id: role for role in self._roles}
        self._by_prefix = {role.prefix: role for role in self._roles if role.prefix is not None}
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix})
        self._closures: dict[str, _Closure] = {}
        self._memo: dict[frozenset[str], tuple[ScopeSet, int]] = {}
        self._memo_scopes = 0
        check_cycles({role.role_id: role.patterns for role in self._roles if role.patterns})

    def __contains__(self, role_id: str) -> bool:
        return role_id in self._by_id

    def role_ids(self) -> tuple[str, ...]:
        """Return every role's id, sorted."""
        return tuple(self._ids)

    def role(self, role_id: str) -> CompiledRole | None:
        """Return the role with exactly this id."""
        return self._by_id.get(role_id)

    def matches(self, scope: str) -> list[Match]:
        """Return the roles that whoever holds `scope` has, each with its parameter."""
        if not scope.startswith(ASSUME):
            return [Match(role, "*") for role in self._roles] if scope in _EVERY_ROLE else []
        asked = scope[len(ASSUME) :]
        if asked.endswith("*"):
            return self._matches_of_prefix(asked[:-1])
        found = [
            Match(self._by_prefix[asked[:n]], asked[n:])
            for n in self._lengths
            if asked[:n] in self._by_prefix
        ]
        role = self._by_id.get(asked)
        if role is not None:
            found.append(Match(role, ""))
        return found

    def _matches_of_prefix(self, asked: str) -> list[Match]:
        found = [
            Match(self._by_prefix[asked[:n]], asked[n:] + "*")
            for n in self._lengths
            if n < len(asked) and asked[:n] in self._by_prefix
        ]
        at = bisect_left(self._ids, asked)
        while at < len(self._ids) and self._ids[at].startswith(asked):
            role = self._roles[at]
            if role.prefix is None or role.prefix.startswith(asked):
                found.append(Match(role, "*"))
            at += 1
        return found

    def expand(self, scopes: Iterable[str]) -> ScopeSet:
        """Return the closure of `scopes`: themselves and everything that roles give, to the end."""
        key = frozenset(scopes)
        known = self._memo.get(key)
        if known is not None:
            return known[0]
        closure = self._close(key)
        found = ScopeSet.of_parts(closure.exact, closure.prefixes)
        if len(key) <= _MEMO_KEY_SCOPES and sum(map(len, key)) <= _MEMO_KEY_CHARS:
            self._remember(key, found, len(key) + len(closure.exact) + len(closure.prefixes))
        return found

    def _remember(self, key: frozenset[str], found: ScopeSet, size: int) -> None:
        self._memo[key] = (found, size)
        self._memo_scopes += size
        while self._memo_scopes > _MEMO_SCOPES:
            self._memo_scopes -= self._memo.pop(next(iter(self._memo)))[1]

    def _close(self, scopes: frozenset[str]) -> _Closure:
        exact, prefixes = split(scopes)
        pending = [scope for scope in scopes if scope.startswith(ASSUME) or scope in _EVERY_ROLE]
        seen = set(pending)
        fixed_done: set[str] = set()
        while pending:
            for role, parameter in self.matches(pending.pop()):
                if role.role_id not in fixed_done:
                    fixed_done.add(role.role_id)
                    closure = self._closure_of(role)
                    exact |= closure.exact
                    prefixes |= closure.prefixes
                for before, after in role.patterns:
                    scope = instantiate(before, parameter, after)
                    if scope.endswith("*"):
                        prefixes.add(scope[:-1])
                    else:
                        exact.add(scope)
                    if scope not in seen and (scope.startswith(ASSUME) or scope in _EVERY_ROLE):
                        seen.add(scope)
                        pending.append(scope)
        return _Closure(frozenset(exact), frozenset(prefixes))

    def _closure_of(self, role: CompiledRole) -> _Closure:
        """Return all that the fixed scopes of `role` lead to; a work list, so that chains may be of any depth."""
        known = self._closures.get(role.role_id)
        if known is not None:
            return known
        exact, prefixes = split(role.fixed)
        seen = set(role.fixed)
        pending = list(role.fixed)
        while pending:
            for found, parameter in self.matches(pending.pop()):
                ready = self._closures.get(found.role_id)
                if ready is not None:
                    exact |= ready.exact
                    prefixes |= ready.prefixes
                given = found.given(parameter) if ready is None else _patterns_given(found, parameter)
                for scope in given:
                    if scope in seen:
                        continue
                    seen.add(scope)
                    pending.append(scope)
                    if scope.endswith("*"):
                        prefixes.add(scope[:-1])
                    else:
                        exact.add(scope)
        closure = _Closure(frozenset(exact), frozenset(prefixes))
        self._closures[role.role_id] = closure
        return closure


def _patterns_given(role: CompiledRole, parameter: str) -> Iterator[str]:
    return (instantiate(before, parameter, after) for before, after in role.patterns)
