"""Before the first push: liftlock runs, the repository is registered, roles and people have their scopes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.cli.exit_codes import Exit
from liftlock.cli.profiles import Profile
from liftlock.processes.demo.grants import (
    BRANCH,
    DEVELOPER,
    IDENTITY,
    LEVEL,
    MANAGER,
    PROJECT,
    PUSHER_WHO_ADMITS,
    RELEASE_SECRET,
    ROLES,
    TRUST_DOMAIN,
    Grant,
)
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import DifferenceError
from liftlock.processes.demo.stage import Stage
from liftlock.values.instants import format_instant


@dataclass(frozen=True, slots=True)
class People:
    """Who acts in the demo; `pusher_who_admits` is the developer again, with a scope to admit."""

    developer: Person
    manager: Person
    pusher_who_admits: Person


def play(stage: Stage, example: Path) -> People:
    """Make the repository, register it, and give everybody their scopes; return them.

    Raises:
        DifferenceError, LiftlockError: it can't be done, and nothing that follows would make sense.
    """
    stage.say(
        f"\nThe operator registers the repository: level {LEVEL}, identity {IDENTITY} (a name; nothing is fetched there)."
    )
    stage.repository.create(example)
    _register(stage)
    stage.say(
        "\nThe operator gives scopes to the repository's roles, and to people no more than what they may trigger:"
    )
    for role, (description, scopes) in ROLES.items():
        stage.root.api.put(
            "auth", "roles", role, payload={"scopes": list(scopes), "description": description}
        )
    people = People(
        developer=_client(stage, "robin", DEVELOPER),
        manager=_client(stage, "morgan", MANAGER),
        pusher_who_admits=_client(stage, "robin-admin", PUSHER_WHO_ADMITS),
    )
    stage.release_key = SystemEntropy().token_bytes(24).hex()
    stage.root.api.put(
        "secrets",
        "secret",
        RELEASE_SECRET,
        payload={
            "secret": {"key": stage.release_key},
            "expires": format_instant(SystemClock().now() + timedelta(days=1)),
        },
    )
    return people


def _register(stage: Stage) -> None:
    _do(
        stage,
        *("project", "add", PROJECT),
        *("--identity", IDENTITY),
        *("--fetch", str(stage.repository.bare)),
        *("--level", str(LEVEL)),
        *("--branch", BRANCH),
        *("--trust-domain", TRUST_DOMAIN),
    )
    _do(stage, "push", "install-hook", PROJECT, str(stage.repository.bare))


def _do(stage: Stage, *arguments: str) -> None:
    ended = stage.root.liftlock(*arguments)
    if ended.status != Exit.OK:
        raise DifferenceError(f"liftlock {' '.join(arguments[:2])} ended with {ended.status}: {ended.text}")


def _client(stage: Stage, name: str, grant: Grant) -> Person:
    stage.say(f"  {grant.client_id}: {', '.join(grant.scopes)}")
    made = stage.root.api.put(
        "auth",
        "clients",
        grant.client_id,
        payload={
            "expires": format_instant(SystemClock().now() + timedelta(days=1)),
            "description": grant.description,
            "scopes": list(grant.scopes),
            "deleteOnExpiration": True,
        },
    )
    return stage.person(name, Profile(stage.root.profile.root_url, grant.client_id, made["accessToken"]))
