"""Interactive tasks: a shell that somebody types into. It may do nothing that anybody else could not see done.

Source: docs/reference/loaners.md
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

TERMINAL: Final = "private/shell/terminal"
"""The artifact with everything that the terminal showed."""
FETCHING: Final = ("pushes:get-source:", "queue:get-artifact:")
"""Scopes that the worker itself uses to fetch inputs, and that nothing in the sandbox can use: how all begin that are allowed."""


def is_interactive(payload: Any) -> bool:
    """Tell whether the payload of a task asks for a shell, whatever else is in it."""
    features = payload.get("features") if isinstance(payload, dict) else None
    return isinstance(features, dict) and features.get("shell") is True


def why_not(
    *, scopes: Iterable[str], api_proxy: bool, network_open: bool, caches: bool, commands: int
) -> str | None:
    """Return why such a task must not have a shell, or None.

    Whoever types may do all that the task may do. So the task may do nothing: no scopes that it could use itself, no way to
    the API, no network, no cache that another task will read.
    """
    beyond = [scope for scope in scopes if not scope.startswith(FETCHING)]
    if beyond:
        return (
            f"features.shell: expected no scopes but those that fetch inputs ({', '.join(FETCHING)}),"
            f" found {beyond[0]}"
        )
    if api_proxy:
        return "features.shell: expected no taskclusterProxy beside it"
    if network_open:
        return "features.shell: expected a closed network"
    if caches:
        return "features.shell: expected no caches: other tasks would read what is typed into them"
    if commands != 1:
        return f"features.shell: expected one command, the shell, found {commands}"
    return None
