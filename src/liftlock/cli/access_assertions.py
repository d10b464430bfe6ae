"""What must never be reachable, as a file says it: `never: [{from: …, to: …, except: […]}]`, in YAML or TOML.

Source: docs/reference/access.md#assertions
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from liftlock.cli.failures import UsageError

MAX_BYTES: Final = 1024 * 1024
MAX_ASSERTIONS: Final = 500
CLIENT, ROLE, SCOPE = "client:", "role:", "scope:"


@dataclass(frozen=True, slots=True)
class Never:
    """From `start` (as `--from` takes it; a client's id may end in `*`) nothing of `to` may be reached."""

    start: str
    to: str
    excepted: frozenset[str]

    @property
    def clients(self) -> str | None:
        """The beginning of the ids of all clients that are meant, or None if `start` is one thing."""
        if self.start.startswith((ROLE, SCOPE)) or not self.start.endswith("*"):
            return None
        return self.start.removeprefix(CLIENT)[:-1]


@dataclass(frozen=True, slots=True)
class Assertions:
    """`pushes`: rights to push that are taken as given, as the API takes them."""

    never: tuple[Never, ...]
    pushes: tuple[dict[str, str], ...]


def start_of(text: str) -> dict[str, Any]:
    """Return what the API takes as `from`: a client's id, `client:ID`, `role:ID` or `scope:SCOPE`."""
    if text.startswith(ROLE):
        return {"roleId": text.removeprefix(ROLE)}
    if text.startswith(SCOPE):
        return {"scopes": [text.removeprefix(SCOPE)]}
    return {"clientId": text.removeprefix(CLIENT)}


def push_of(text: str) -> dict[str, str]:
    """Return what the API takes as a right to push from `SCOPE=ROLE`; raises UsageError."""
    scope, equals, role_id = text.rpartition("=")
    if not (equals and scope and role_id):
        raise UsageError(f"--push {text}: expected SCOPE=ROLE")
    return {"scope": scope, "roleId": role_id}


def read(path: Path) -> Assertions:
    """Return the file's assertions.

    Raises:
        UsageError: it can't be read, is neither YAML nor TOML, or says something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"{path}: expected at most {MAX_BYTES} bytes")
        text = content.decode()
        given = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    return _assertions(str(path), given)


def _assertions(where: str, given: Any) -> Assertions:
    top = _mapping(where, given, {"never"}, {"pushes"})
    never = _list(f"{where}: never", top["never"])
    if not 0 < len(never) <= MAX_ASSERTIONS:
        raise UsageError(f"{where}: never: expected 1 to {MAX_ASSERTIONS} assertions, found {len(never)}")
    pushes = _list(f"{where}: pushes", top.get("pushes", []))
    return Assertions(
        tuple(_never(f"{where}: never[{at}]", one) for at, one in enumerate(never)),
        tuple(_push(f"{where}: pushes[{at}]", one) for at, one in enumerate(pushes)),
    )


def _never(where: str, given: Any) -> Never:
    one = _mapping(where, given, {"from", "to"}, {"except"})
    excepted = _list(f"{where}.except", one.get("except", []))
    found = Never(
        _text(f"{where}.from", one["from"]),
        _text(f"{where}.to", one["to"]),
        frozenset(_text(f"{where}.except[{at}]", name) for at, name in enumerate(excepted)),
    )
    if found.excepted and found.clients is None:
        raise UsageError(f"{where}.except: expected only where `from` is clients, such as `people/*`")
    return found


def _push(where: str, given: Any) -> dict[str, str]:
    one = _mapping(where, given, {"scope", "role"}, set())
    return {"scope": _text(f"{where}.scope", one["scope"]), "roleId": _text(f"{where}.role", one["role"])}


def _mapping(where: str, given: Any, needed: set[str], more: set[str]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UsageError(f"{where}: expected a mapping with {', '.join(sorted(needed))}")
    missing, unknown = needed - given.keys(), given.keys() - needed - more
    if missing or unknown:
        allowed = ", ".join(sorted(needed)) + (f" and perhaps {', '.join(sorted(more))}" if more else "")
        raise UsageError(f"{where}: expected {allowed}; found {', '.join(map(str, given)) or 'nothing'}")
    return given


def _list(where: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise UsageError(f"{where}: expected a list")
    return given


def _text(where: str, given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise UsageError(f"{where}: expected a text, found {given!r}")
    return given
