"""The whole that files make, as checks look at it: its roles expanded, its escalation paths, who may push where.

Source: docs/reference/configuration.md#checks
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from liftlock.domain.configuration.folder import Entry, Folder
from liftlock.domain.configuration.generate_roles import path_of
from liftlock.domain.configuration.kinds import GroupEntry, ProjectEntry
from liftlock.domain.configuration.reading import Place
from liftlock.domain.configuration.resources import Key, Kind, Resources, by_kind
from liftlock.domain.scopes.escalation import EscalationGraph, PushRight
from liftlock.domain.scopes.roles import ASSUME, Role, RoleBook


@dataclass(frozen=True)
class Whole:
    """The files, and every resource that they make."""

    folder: Folder
    files: Resources

    @cached_property
    def book(self) -> RoleBook:
        """All roles."""
        return RoleBook(Role(each.key.id, each.scopes) for each in by_kind(self.files, "Role"))

    @cached_property
    def graph(self) -> EscalationGraph:
        """Everything that can be caused, pushes by groups included; for action hooks one of each level and permission."""
        return graph_of(self.files, push_rights(self.folder), tuple(self._action_hooks()))

    def _action_hooks(self) -> Iterator[str]:
        """Yield `<group>/<id>/*` for every family of action hooks: they come with pushes, so files don't list them."""
        for role in by_kind(self.files, "Role"):
            name = role.key.id.removeprefix("hook-id:")
            if role.key.id.startswith("hook-id:project-") and name.endswith("/*"):
                yield name

    def files_scopes(self, kind: Kind, name: str) -> tuple[str, ...]:
        """Return the scopes of a resource, none if there is no such one."""
        found = self.files.get(Key(kind, name))
        return () if found is None else found.scopes

    def place(self, key: Key) -> Place:
        """Return where a resource comes from."""
        found = self.files.get(key)
        return found.place if found is not None and found.place is not None else Place("liftlock.yml")


def graph_of(
    resources: Resources, rights: tuple[PushRight, ...] = (), more_hooks: tuple[str, ...] = ()
) -> EscalationGraph:
    """Return the graph of these roles, hooks and clients.

    Raises:
        InputInvalidError, DependencyCycleError: the roles don't go together.
    """
    book = RoleBook(Role(each.key.id, each.scopes) for each in by_kind(resources, "Role"))
    hooks = [each.key.id for each in by_kind(resources, "Hook")]
    clients = {each.key.id: each.scopes for each in by_kind(resources, "Client")}
    return EscalationGraph(book, [*hooks, *more_hooks], clients, rights)


def group_scope(name: str) -> str:
    """Return the scope that makes somebody one of the group."""
    return f"{ASSUME}group:{name}"


def may_push(group: GroupEntry, project: ProjectEntry) -> bool:
    """Tell whether the group's people may push to the project, as the files say it."""
    return project.level in group.push_levels and (
        not group.trust_domains or project.trust_domain in group.trust_domains
    )


def push_rights(folder: Folder) -> tuple[PushRight, ...]:
    """Return who may push so that tasks run with which repository's roles."""
    return tuple(
        PushRight(group_scope(name), f"repo:{path_of(project.said)}:branch:*")
        for name, group in folder.groups.items()
        for project in folder.projects.values()
        if may_push(group.said, project.said)
    )


def projects_at(folder: Folder, level: int) -> Iterator[Entry[ProjectEntry]]:
    """Yield the projects of that level."""
    return (entry for entry in folder.projects.values() if entry.said.level == level)
