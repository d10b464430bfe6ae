"""Handing on less than one has: `authorizedScopes`, and the scopes of internal callers.

Source: docs/reference/access.md#authorized-scopes
"""

from __future__ import annotations

from collections.abc import Sequence

from liftlock.domain.scopes.roles import ANONYMOUS, RoleBook
from liftlock.domain.scopes.satisfaction import AllOf, Refusal, ScopeSet, decide


def expand_caller(book: RoleBook, scopes: Sequence[str]) -> ScopeSet:
    """Return the closure of `scopes` and of what everyone has (`assume:anonymous`)."""
    return book.expand([*scopes, ANONYMOUS])


def attenuate(book: RoleBook, held: Sequence[str], authorized: Sequence[str]) -> ScopeSet | Refusal:
    """Return the closure of `authorized` and `assume:anonymous`, in place of what the caller holds.

    Everyone's scopes are merged before the check, so that they may be named, and after it, so that they stay.

    Returns:
        Refusal when the *expanded* `held` does not satisfy every one of `authorized`.
    """
    refusal = decide(expand_caller(book, held), AllOf(*authorized))
    return expand_caller(book, authorized) if refusal is None else refusal
