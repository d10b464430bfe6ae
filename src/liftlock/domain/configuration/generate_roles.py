"""The roles of repositories, of their actions, and of people.

Source: docs/reference/configuration.md#what-is-generated
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from liftlock.domain.actions.naming import PULL_LEVEL
from liftlock.domain.configuration.folder import Entry, Folder
from liftlock.domain.configuration.kinds import (
    ACTIONS,
    CRON,
    PULL_REQUESTS,
    GrantEntry,
    GroupEntry,
    ProjectEntry,
    Selector,
)
from liftlock.domain.configuration.reading import Place, Problem

GENERIC = "generic"
_PLACEHOLDER = re.compile(r"\{([a-z-]*)\}")


class Roles(Protocol):
    """Where roles are collected."""

    problems: list[Problem]

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
        ...


def path_of(project: ProjectEntry) -> str:
    """Return `<host>/<path>` of the repository; of a wildcard, with its `*`."""
    return project.identity.removeprefix("https://").rstrip("/").removesuffix(".git")


def run_role(project: ProjectEntry, run: str) -> str:
    """Return the role of the repository's run; of a wildcard, the one role that all its repositories have."""
    path = path_of(project)
    return f"repo:{path}" if path.endswith("*") else f"repo:{path}:{run}"


def filled(scope: str, entry: Entry[ProjectEntry]) -> str:
    """Return the scope with its `{level}`, `{trust-domain}`, `{project}` and `{path}` replaced; others stay."""
    said = entry.said
    known = {
        "level": str(said.level),
        "trust-domain": said.trust_domain,
        "project": entry.name,
        "path": path_of(said),
    }
    return _PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), scope)


def selected(folder: Folder, selector: Selector) -> Iterator[Entry[ProjectEntry]]:
    """Yield the projects that the selector means; an empty list of it means any."""
    for entry in folder.projects.values():
        said = entry.said
        if (
            (not selector.levels or said.level in selector.levels)
            and (not selector.trust_domains or said.trust_domain in selector.trust_domains)
            and (not selector.features or set(selector.features) & set(said.features))
            and (not selector.names or entry.name in selector.names)
        ):
            yield entry


def grant_roles(folder: Folder, to: Roles) -> None:
    """Give every role what the grants say."""
    for grant in folder.grants:
        retire = grant.said.retire == "warn"
        for target in grant.said.to:
            given = sum([target.projects is not None, bool(target.groups), bool(target.roles)])
            if given != 1:
                to.problems.append(
                    Problem(grant.place, "to: expected one of projects, groups and roles in each item")
                )
            if target.projects is not None:
                _grant_to_projects(folder, to, grant, target.projects)
                continue
            for group in target.groups:
                if group not in folder.groups:
                    to.problems.append(Problem(grant.place, f"to: there is no group {group}"))
                to.give(f"group:{group}", grant.said.grant, grant.place, retire=retire)
            for role_id in target.roles:
                to.give(role_id, grant.said.grant, grant.place, retire=retire)


def _grant_to_projects(folder: Folder, to: Roles, grant: Entry[GrantEntry], selector: Selector) -> None:
    listed, place, retire = grant.said.grant, grant.place, grant.said.retire == "warn"
    unknown = [name for name in selector.names if name not in folder.projects]
    if unknown:
        to.problems.append(Problem(place, f"to: there is no project {unknown[0]}"))
    for entry in selected(folder, selector):
        given = tuple(filled(scope, entry) for scope in listed)
        left = [scope for scope in given if _PLACEHOLDER.search(scope)]
        if left:
            to.problems.append(
                Problem(
                    place, f"grant: {left[0]}: expected {{level}}, {{trust-domain}}, {{project}} or {{path}}"
                )
            )
            return
        for run in selector.runs:
            to.give(run_role(entry.said, run), given, place, retire=retire)


def action_roles(folder: Folder, to: Roles) -> None:
    """Give hooks of actions their repositories' roles, and decision tasks the right to offer them."""
    for entry in folder.projects.values():
        said, path = entry.said, path_of(entry.said)
        domain = folder.actions.get(said.trust_domain)
        if (
            path.endswith("*")
            or ACTIONS not in said.features
            or domain is None
            or said.level not in domain.said.levels
        ):
            continue
        group = f"project-{said.trust_domain}"
        runs = ["branch:*", *(["cron:*"] if CRON in said.features else [])]
        for run in runs:
            to.give(
                f"repo:{path}:{run}",
                (f"in-tree:hook-action:{group}/in-tree-action-{said.level}-*",),
                entry.place,
            )
        kinds = [("action", f"in-tree-action-{said.level}")]
        if _has_pulls(said) and PULL_LEVEL in domain.said.levels:
            offered = f"in-tree:hook-action:{group}/in-tree-pr-action-{PULL_LEVEL}-*"
            to.give(f"repo:{path}:pull-request", (offered,), entry.place)
            kinds.append(("pr-action", f"in-tree-pr-action-{PULL_LEVEL}"))
        for permission in domain.said.permissions:
            for run, prefix in kinds:
                hook = f"hook-id:{group}/{prefix}-{permission}/*"
                to.give(
                    hook, (f"assume:repo:{path}:{run}:{permission}",), domain.place, "Of hooks for actions."
                )


def people_roles(folder: Folder, to: Roles) -> None:
    """Give groups their scopes, and the hooks of actions that they may trigger."""
    for name, entry in folder.groups.items():
        to.give(f"group:{name}", entry.said.scopes, entry.place, entry.said.description)
        for domain, actions in folder.actions.items():
            levels = sorted(set(actions.said.levels) & _levels(entry.said, domain))
            for permission, said in actions.said.permissions.items():
                may = permission == GENERIC or name in said.triggered_by
                for level in levels if may else ():
                    to.give(
                        f"group:{name}",
                        tuple(
                            f"hooks:trigger-hook:{hook}/*"
                            for hook in _hooks(folder, domain, level, permission)
                        ),
                        actions.place,
                    )
    for domain, actions in folder.actions.items():
        for permission, said in actions.said.permissions.items():
            for name in said.triggered_by:
                if name not in folder.groups:
                    where = f"{domain}: permissions.{permission}.triggered-by"
                    to.problems.append(Problem(actions.place, f"{where}: there is no group {name}"))


def _hooks(folder: Folder, domain: str, level: int, permission: str) -> Iterator[str]:
    yield f"project-{domain}/in-tree-action-{level}-{permission}"
    if level == PULL_LEVEL and any(
        _has_pulls(entry.said) and entry.said.trust_domain == domain for entry in folder.projects.values()
    ):
        yield f"project-{domain}/in-tree-pr-action-{level}-{permission}"


def _levels(group: GroupEntry, domain: str) -> set[int]:
    return set(group.push_levels) if not group.trust_domains or domain in group.trust_domains else set()


def _has_pulls(project: ProjectEntry) -> bool:
    return PULL_REQUESTS in project.features
