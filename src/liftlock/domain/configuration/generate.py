"""From files to the whole: every resource that a server shall have.

Source: docs/reference/configuration.md#what-is-generated
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from liftlock.domain.configuration.folder import Entry, Folder
from liftlock.domain.configuration.generate_roles import action_roles, grant_roles, people_roles
from liftlock.domain.configuration.kinds import ClientEntry, HookEntry, PoolEntry, ProjectEntry, SecretEntry
from liftlock.domain.configuration.reading import FilesRefusedError, Place, Problem
from liftlock.domain.configuration.resources import (
    MARK,
    Key,
    Managed,
    Resource,
    Resources,
    by_kind,
    parse_key,
    role,
)
from liftlock.domain.hooks.definition import compile_hook, from_document, read_document
from liftlock.domain.pushes.project import define_project
from liftlock.domain.scopes.role_rules import check_role, check_stored_scopes
from liftlock.domain.scopes.satisfaction import in_order
from liftlock.errors import LiftlockError
from liftlock.values import ids

WILDCARD: Final = "/*"


class Collector:
    """Collects resources; the scopes of one role may come from many entries."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._made: Resources = {}
        self._scopes: defaultdict[str, set[str]] = defaultdict(set)
        self._kept: defaultdict[str, set[str]] = defaultdict(set)
        self._described: dict[str, tuple[str, Place | None]] = {}

    def give(
        self,
        role_id: str,
        scopes: set[str] | tuple[str, ...],
        place: Place,
        description: str = "",
        *,
        retire: bool = False,
    ) -> None:
        """Give the role these scopes, beside others that it has; `retire`: unless something else gives them, to warn."""
        self._scopes[role_id].update(scopes)
        if not retire:
            self._kept[role_id].update(scopes)
        known = self._described.setdefault(role_id, (description, place))
        if description and not known[0]:
            self._described[role_id] = (description, place)

    def add(self, resource: Resource) -> None:
        """Add a resource that nothing else makes."""
        self._made[resource.key] = resource

    def attempt(self, entry: Entry[Any], make: Callable[[], Resource | None]) -> None:
        """Add what `make` returns, or note why there is none."""
        try:
            made = make()
        except LiftlockError as error:
            self.problems.append(Problem(entry.place, f"{entry.name}: {error.message}"))
            return
        if made is not None:
            self.add(made)

    def finish(self) -> Resources:
        """Return everything, roles included.

        Raises:
            FilesRefusedError: with all problems.
        """
        for role_id, scopes in self._scopes.items():
            description, place = self._described[role_id]
            try:
                ids.role_id(role_id)
                check_role(role_id, scopes)
            except LiftlockError as error:
                self.problems.append(Problem(place or Place("?"), f"role {role_id}: {error.message}"))
                continue
            self.add(role(role_id, scopes, description, place))
            retiring = in_order(scopes - self._kept[role_id])
            if retiring:
                self.add(Resource(Key("Retiring", role_id), {"scopes": list(retiring)}, place))
        if self.problems:
            raise FilesRefusedError(self.problems)
        return self._made


def generate(folder: Folder) -> Resources:
    """Return the whole that the files make.

    Raises:
        FilesRefusedError: an entry makes no sense, names what there is not, or makes what is not managed.
    """
    made = sketch(folder)
    check_hooks(made)
    return made


def check_hooks(made: Resources) -> None:
    """Return if the templates, schemas and schedules of all hooks make sense; raises FilesRefusedError."""
    problems = []
    for hook in by_kind(made, "Hook"):
        try:
            compile_hook(from_document(hook.content))
        except LiftlockError as error:
            problems.append(Problem(hook.place or Place("hooks.yml"), f"{hook.key.id}: {error.message}"))
    if problems:
        raise FilesRefusedError(problems)


def sketch(folder: Folder) -> Resources:
    """Return the same as `generate`, without `check_hooks`: enough to see whether a server has it already."""
    to = Collector()
    _settings(folder, to)
    for project in folder.projects.values():
        to.attempt(project, lambda entry=project: _project(entry))  # type: ignore[misc] # bound now, called at once
    for name, said in folder.roles.items():
        to.give(name, said.said.scopes, said.place, said.said.description)
    grant_roles(folder, to)
    action_roles(folder, to)
    people_roles(folder, to)
    for domain, actions in folder.actions.items():
        to.add(Resource(Key("ActionPolicy", domain), _policy(actions.said), actions.place))
    _hooks(folder, to)
    for client in folder.clients.values():
        to.attempt(client, lambda entry=client: _client(folder, entry))  # type: ignore[misc] # as above
    for pool in folder.pools.values():
        to.attempt(pool, lambda entry=pool: _pool(entry))  # type: ignore[misc] # as above
    for secret in folder.secrets.values():
        to.add(Resource(Key("Secret", secret.name), _secret(secret.said), secret.place))
    made = to.finish()
    _refuse_unmanaged(folder, made)
    return made


def _settings(folder: Folder, to: Collector) -> None:
    for pattern in folder.settings.managed:
        if pattern != "*" and parse_key(pattern) is None:
            to.problems.append(
                Problem(Place("liftlock.yml"), f"managed: expected <Kind>=<id or prefix*>, found {pattern!r}")
            )


def _refuse_unmanaged(folder: Folder, made: Resources) -> None:
    managed = Managed(folder.settings.managed)
    problems = [
        Problem(
            resource.place or Place("liftlock.yml"),
            f"{key}: no pattern of `managed` in liftlock.yml covers it",
        )
        for key, resource in made.items()
        if key not in managed
    ]
    if problems:
        raise FilesRefusedError(problems)


def _project(entry: Entry[ProjectEntry]) -> Resource | None:
    said = entry.said
    identity = said.identity
    if identity.endswith(WILDCARD) or not said.fetch:
        identity = identity.removesuffix(WILDCARD)
    project = define_project(
        name=entry.name,
        identity=identity,
        fetch_address=said.fetch or "/",
        level=said.level,
        branches=list(said.branches),
        trust_domain=said.trust_domain,
        vcs=said.vcs,
    )
    if not said.fetch or said.identity.endswith(WILDCARD):
        return None
    content = {
        "identityUrl": project.identity,
        "fetchUrl": project.fetch_address,
        "vcs": project.vcs,
        "level": project.level,
        "branches": list(project.branches),
        "trustDomain": project.trust_domain,
    }
    return Resource(Key("Project", project.name), content, entry.place)


def _policy(said: Any) -> dict[str, Any]:
    return {
        "levels": sorted(said.levels),
        "permissions": sorted(said.permissions),
        "selfAdmitted": sorted(name for name, each in said.permissions.items() if each.self_admitted),
        "inputSchemas": {
            name: each.input_schema
            for name, each in said.permissions.items()
            if each.input_schema is not None
        },
    }


def _hooks(folder: Folder, to: Collector) -> None:
    for hook in folder.hooks.values():
        to.attempt(hook, lambda entry=hook: _hook(entry))  # type: ignore[misc] # bound now, called at once
        if hook.said.scopes:
            to.give(f"hook-id:{hook.name}", hook.said.scopes, hook.place, f"Of the hook {hook.name}.")
        for group in hook.said.triggered_by:
            if group not in folder.groups:
                to.problems.append(
                    Problem(hook.place, f"{hook.name}: triggered-by: there is no group {group}")
                )
            to.give(f"group:{group}", (f"hooks:trigger-hook:{hook.name}",), hook.place)


def _hook(entry: Entry[HookEntry]) -> Resource:
    said = entry.said
    group, _, hook = entry.name.partition("/")
    wire: dict[str, Any] = {
        "metadata": {
            "name": said.name,
            "description": MARK + said.description,
            "owner": said.owner,
            "emailOnError": said.email_on_error,
        },
        "task": said.task,
        "schedule": list(said.schedule),
        "bindings": list(said.bindings),
    }
    if said.trigger_schema is not None:
        wire["triggerSchema"] = said.trigger_schema
    return Resource(Key("Hook", entry.name), read_document(group, hook, wire), entry.place)


def _client(folder: Folder, entry: Entry[ClientEntry]) -> Resource:
    said = entry.said
    ids.client_id(entry.name)
    unknown = [group for group in said.groups if group not in folder.groups]
    if unknown:
        raise FilesRefusedError([Problem(entry.place, f"groups: there is no group {unknown[0]}")])
    scopes = {*said.scopes, *(f"assume:group:{group}" for group in said.groups)}
    check_stored_scopes(scopes)
    content = {
        "description": MARK + said.description,
        "expires": said.expires if "." in said.expires else said.expires.replace("Z", ".000Z"),
        "deleteOnExpiration": said.delete_on_expiration,
        "scopes": list(in_order(scopes)),
    }
    return Resource(Key("Client", entry.name), content, entry.place)


def _pool(entry: Entry[PoolEntry]) -> Resource:
    said = entry.said
    ids.task_queue_id(entry.name)
    content = {
        "providerId": "static",
        "description": MARK + said.description,
        "owner": said.owner,
        "emailOnError": said.email_on_error,
        "config": said.config,
    }
    return Resource(Key("WorkerPool", entry.name), content, entry.place)


def _secret(said: SecretEntry) -> dict[str, Any]:
    return {"fromEnv": said.from_env, "expires": said.expires}
