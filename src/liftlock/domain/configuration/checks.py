"""The checks over the whole that files make: each yields what is wrong, with the place and the path.

They run in `liftlock config check`, and as tests of the pytest plug-in, beside an operator's own.

Source: docs/reference/configuration.md#checks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from liftlock.domain.configuration.generate_roles import GENERIC, filled, path_of, selected
from liftlock.domain.configuration.reading import Place, Problem
from liftlock.domain.configuration.resources import by_kind
from liftlock.domain.configuration.template_checks import bounded_payloads, no_spliced_shell
from liftlock.domain.configuration.trails import first_path, of_level, starts
from liftlock.domain.configuration.whole import Whole, group_scope
from liftlock.domain.scopes.escalation import given_of, overlaps
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import LiftlockError

Check = Callable[[Whole], Iterator[Problem]]
_CREATE: Final = "queue:create-task:"
_PRIORITIES: Final = ("highest", "very-high", "high", "medium", "low", "very-low", "lowest")
TRUSTED: Final = 3


def roles_go_together(whole: Whole) -> Iterator[Problem]:
    """Roles expand: none feeds another one its parameter in a cycle."""
    try:
        _ = whole.graph
    except LiftlockError as error:
        yield Problem(Place("liftlock.yml"), error.message)


def no_level_3_from_level_1(whole: Whole) -> Iterator[Problem]:
    """No scope that is for level 3 only is reached from level 1, by whatever path."""
    low = tuple(of_level(whole, 1))
    together = {scope for start in low for scope in start.scopes}
    if not together:
        return
    reached = ScopeSet(scope for node in whole.graph.reach(together) for scope in node.scopes)
    for scope, place in sorted(level_3_only(whole).items()):
        if given_of(reached, scope) is not None:
            path = first_path(whole, low, scope) or f"{scope} is reached from level 1"
            yield Problem(place, f"{scope} is for level 3 only, and is reached from level 1:\n{path}")


def level_3_only(whole: Whole) -> dict[str, Place]:
    """Return the scopes that the files say are for level 3 alone, each with where they do.

    The roles of level 3's repositories, the hooks of their actions, what a grant with `levels: [3]` gives, and what a
    grant with `{level}` in it gives at level 3.
    """
    found: dict[str, Place] = {}
    for project in whole.folder.projects.values():
        if project.said.level == TRUSTED:
            found[f"assume:repo:{path_of(project.said)}:*"] = project.place
    for domain, actions in whole.folder.actions.items():
        if TRUSTED in actions.said.levels:
            found[f"hooks:trigger-hook:project-{domain}/in-tree-action-{TRUSTED}-*"] = actions.place
    for grant in whole.folder.grants:
        for target in grant.said.to:
            for project in selected(whole.folder, target.projects) if target.projects else ():
                alone = target.projects is not None and target.projects.levels == (TRUSTED,)
                for scope in grant.said.grant if project.said.level == TRUSTED else ():
                    if alone or "{level}" in scope:
                        found.setdefault(filled(scope, project), grant.place)
    return found


def wildcards_are_level_1(whole: Whole) -> Iterator[Problem]:
    """Only level 1 may be given to all repositories of a host or an owner, whoever makes them."""
    for project in whole.folder.projects.values():
        if project.said.identity.endswith("*") and project.said.level != 1:
            yield Problem(
                project.place,
                f"{project.name}: {project.said.identity} stands for any repository there: expected level 1, found"
                f" {project.said.level}",
            )


def grants_name_real_pools(whole: Whole) -> Iterator[Problem]:
    """Every scope to create tasks names a pool that there is."""
    pools = whole.folder.pools
    for resource in (*by_kind(whole.files, "Role"), *by_kind(whole.files, "Client")) if pools else ():
        for scope in resource.scopes:
            pool = _pool_of(scope)
            if pool is not None and not any(overlaps(pool, name) for name in pools):
                yield Problem(whole.place(resource.key), f"{resource.key}: {scope}: there is no such pool")


def _pool_of(scope: str) -> str | None:
    """Return the pool, or pattern of pools, that a scope to create tasks names; None if it is another scope."""
    priority, colon, pool = scope.removeprefix(_CREATE).partition(":")
    if not scope.startswith(_CREATE) or not colon or priority not in _PRIORITIES or "<..>" in pool:
        return None
    return pool


def trusted_pools_for_trusted_levels(whole: Whole) -> Iterator[Problem]:
    """A pool that is for some levels gets tasks of repositories of these levels only."""
    limited = [pool for pool in whole.folder.pools.values() if set(pool.said.levels) != {1, 2, 3}]
    for project in whole.folder.projects.values() if limited else ():
        path = path_of(project.said)
        held = whole.book.expand([f"assume:repo:{path}" if path.endswith("*") else f"assume:repo:{path}:*"])
        for pool in limited:
            wanted = [f"{_CREATE}{priority}:{pool.name}" for priority in _PRIORITIES]
            given = next((scope for scope in wanted if held.satisfies(scope)), None)
            if project.said.level not in pool.said.levels and given is not None:
                yield Problem(
                    pool.place,
                    f"{pool.name} is for levels {list(pool.said.levels)}, and {project.name}, of level"
                    f" {project.said.level}, holds {given}",
                )


def listed_groups_alone_trigger(whole: Whole) -> Iterator[Problem]:
    """Hooks and actions that name groups are triggered by these groups' people and by nobody else."""
    listed = {hook.name: (hook.said.triggered_by, hook.place) for hook in whole.folder.hooks.values()}
    for domain, actions in whole.folder.actions.items():
        for permission, said in actions.said.permissions.items():
            for level in actions.said.levels if permission != GENERIC else ():
                listed[f"project-{domain}/in-tree-action-{level}-{permission}/*"] = (
                    said.triggered_by,
                    actions.place,
                )
    who: list[tuple[str, set[str], tuple[str, ...]]] = [
        (f"group {name}", {name}, (group_scope(name),)) for name in whole.folder.groups
    ]
    who += [
        (f"client {name}", set(client.said.groups), whole.files_scopes("Client", name))
        for name, client in whole.folder.clients.items()
    ]
    held = [(name, groups, whole.book.expand(scopes)) for name, groups, scopes in who]
    for hook, (groups, place) in listed.items():
        for name, own, scopes in held if groups else ():
            if not own & set(groups) and given_of(scopes, f"hooks:trigger-hook:{hook}") is not None:
                yield Problem(
                    place, f"{hook}: {name} may trigger it; expected {', '.join(groups)} (triggered-by) alone"
                )


def never(whole: Whole) -> Iterator[Problem]:
    """What never.yml says is never reached is not."""
    for entry in whole.folder.never:
        said = entry.said
        found = starts(whole, said.from_)
        if found is None:
            yield Problem(entry.place, f"never from {said.from_}: there is nobody of that name")
            continue
        path = first_path(whole, found, said.to, said.except_)
        if path is not None:
            yield Problem(entry.place, f"never from {said.from_} to {said.to}:\n{path}")


def operations_name_real_projects(whole: Whole) -> Iterator[Problem]:
    """Every operation is of a project that there is."""
    for name, operation in whole.folder.operations.operations.items():
        if operation.project not in whole.folder.projects:
            yield Problem(
                Place("operations.yml"),
                f"operations.{name}: project: there is no project {operation.project}",
            )


CHECKS: Final[dict[str, Check]] = {
    "roles go together": roles_go_together,
    "no level-3 scope is reached from level 1": no_level_3_from_level_1,
    "wildcard repositories are level 1": wildcards_are_level_1,
    "grants name real pools": grants_name_real_pools,
    "trusted pools are for trusted levels": trusted_pools_for_trusted_levels,
    "listed groups alone trigger listed hooks": listed_groups_alone_trigger,
    "no payload is spliced into a shell command": no_spliced_shell,
    "payloads are bounded": bounded_payloads,
    "operations name real projects": operations_name_real_projects,
    "what must never be reached is not": never,
}
"""Name → check, in the order in which they run."""


def run_checks(whole: Whole) -> dict[str, list[Problem]]:
    """Return what is wrong by check, an empty list for each that holds. If roles don't go together, that alone."""
    found = {"roles go together": list(roles_go_together(whole))}
    if found["roles go together"]:
        return found
    return found | {name: sorted(set(check(whole))) for name, check in CHECKS.items() if name not in found}
