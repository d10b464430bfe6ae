"""The kinds of files, and what one entry of each may say. The published JSON schemas are made of these types.

Source: docs/reference/configuration.md
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Level = Literal[1, 2, 3]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,50}$")]
Scope = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[\x20-\x7e]*$")]

ACTIONS, CRON, PULL_REQUESTS = "actions", "cron", "pull-requests"
"""Features of projects that liftlock itself knows; others are for grants to select by."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`liftlock.yml`: what the folder is called, and what it alone may change."""

    version: Literal[1]
    name: Annotated[Name, Meta(description="Under this name the server keeps what was applied last.")]
    managed: Annotated[
        tuple[str, ...],
        Meta(
            description="`<Kind>=<id>`, a final `*` for any: what the folder manages. All else is left alone."
        ),
    ]


class ProjectEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`projects.yml`, by name: a repository and what it is trusted with."""

    identity: Annotated[
        str,
        Meta(
            description="`https://<host>/<path>`; a final `/*` stands for every repository there, level 1 only."
        ),
    ]
    fetch: Annotated[str, Meta(description="Where objects come from; without it nothing is registered.")] = ""
    level: Level
    trust_domain: Name
    vcs: Literal["git", "hg"] = "git"
    branches: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)] = ("main",)
    features: Annotated[
        tuple[Name, ...],
        Meta(description="`actions`, `cron`, `pull-requests`, or names of your own for grants."),
    ] = (ACTIONS,)


class Selector(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Projects that have one of each list that is given, and the roles of theirs that get something."""

    levels: tuple[Level, ...] = ()
    trust_domains: tuple[Name, ...] = ()
    features: tuple[Name, ...] = ()
    names: tuple[Name, ...] = ()
    runs: Annotated[
        tuple[
            Annotated[str, Meta(pattern=r"^(branch:.+|cron:.+|action:.+|pr-action:.+|pull-request)$")], ...
        ],
        Meta(
            min_length=1, description="`branch:<b>`, `cron:<name>`, `action:<permission>`, `pull-request`, …"
        ),
    ] = ("branch:*",)


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Whom a grant is for: exactly one of the three."""

    projects: Selector | None = None
    groups: tuple[Name, ...] = ()
    roles: tuple[str, ...] = ()


class GrantEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`grants.yml`, a list: scopes, and whom they are given to."""

    grant: Annotated[
        tuple[Scope, ...],
        Meta(
            min_length=1,
            description="For projects, `{level}`, `{trust-domain}`, `{project}` and `{path}` are replaced.",
        ),
    ]
    to: Annotated[tuple[Target, ...], Meta(min_length=1)]
    why: str = ""
    retire: Annotated[
        Literal["warn"] | None,
        Meta(
            description="`warn`: it satisfies still, and each use that nothing else allows is told and recorded."
        ),
    ] = None


class RoleEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`roles.yml`, by role id: a role as it is, for what grants do not say."""

    description: str = ""
    scopes: tuple[Scope, ...] = ()


class GroupEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`groups.yml`, by name: people. Whoever holds `assume:group:<name>` belongs to it."""

    description: str = ""
    push_levels: Annotated[
        tuple[Level, ...], Meta(description="Levels at which its people may push, outside of liftlock.")
    ] = ()
    trust_domains: Annotated[
        tuple[Name, ...], Meta(description="Of which domains; none named means all.")
    ] = ()
    scopes: tuple[Scope, ...] = ()


class PermissionEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """One permission of in-tree actions."""

    self_admitted: Annotated[
        bool, Meta(description="A push may change what these actions do without anybody's consent.")
    ] = False
    triggered_by: Annotated[tuple[Name, ...], Meta(description="Groups who may trigger them.")] = ()
    input_schema: dict[str, Any] | None = None


class ActionsEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`actions.yml`, by trust domain: levels and permissions for which pushes bring hooks."""

    levels: tuple[Level, ...] = (1, 2, 3)
    permissions: dict[Name, PermissionEntry]


class HookEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`hooks.yml`, by `<group>/<id>`: a hook, its role, and who may trigger it."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    description: str = ""
    owner: str
    email_on_error: bool = True
    task: dict[str, Any]
    schedule: tuple[str, ...] = ()
    bindings: tuple[dict[str, Any], ...] = ()
    trigger_schema: dict[str, Any] | None = None
    scopes: Annotated[
        tuple[Scope, ...], Meta(description="What its tasks may: the role `hook-id:<group>/<id>`.")
    ] = ()
    triggered_by: tuple[Name, ...] = ()
    free_text: Annotated[
        tuple[str, ...],
        Meta(
            description="Strings of the payload (`payload.note`) that may be unbounded: the task gets them as JSON."
        ),
    ] = ()


class ClientEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`clients.yml`, by client id: a program, or a person without a login."""

    description: str = ""
    expires: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")] = (
        "2099-01-01T00:00:00.000Z"
    )
    delete_on_expiration: bool = False
    scopes: tuple[Scope, ...] = ()
    groups: tuple[Name, ...] = ()


class PoolEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`pools.yml`, by `<provisioner>/<worker type>`: workers, and the levels that may use them."""

    description: str = ""
    owner: str
    levels: tuple[Level, ...] = (1, 2, 3)
    email_on_error: bool = False
    config: dict[str, Any] = {}


class SecretEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`secrets.yml`, by name. Values never stand in files."""

    description: str = ""
    from_env: Annotated[
        str, Meta(description="Environment variable that holds the value, as JSON, when applied.")
    ] = ""
    expires: str = "2099-01-01T00:00:00.000Z"


class NeverEntry(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """`never.yml`, a list: from where nothing of a scope may be reachable, by whatever path."""

    from_: str = msgspec.field(name="from")
    to: Scope
    except_: tuple[str, ...] = msgspec.field(name="except", default=())


ENTRIES: Final[dict[str, type[msgspec.Struct]]] = {
    "projects": ProjectEntry,
    "grants": GrantEntry,
    "roles": RoleEntry,
    "groups": GroupEntry,
    "actions": ActionsEntry,
    "hooks": HookEntry,
    "clients": ClientEntry,
    "pools": PoolEntry,
    "secrets": SecretEntry,
    "never": NeverEntry,
}
"""Kind of file → type of its entries."""
LISTS: Final = frozenset({"grants", "never"})
"""Kinds whose file is a list; the others are mappings by name."""
FILE_KINDS: Final = ("liftlock", *ENTRIES)
"""Kinds of files that have a schema, in the order of the documentation."""


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a file of `kind`; `liftlock` is the settings' own file."""
    entry = Settings if kind == "liftlock" else ENTRIES[kind]
    _, made = msgspec.json.schema_components([entry], ref_template="#/definitions/{name}")
    top: dict[str, Any] = {"$ref": f"#/definitions/{entry.__name__}"}
    if kind in LISTS:
        top = {"type": "array", "items": top}
    elif kind != "liftlock":
        top = {"type": "object", "additionalProperties": top}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": (entry.__doc__ or "").splitlines()[0],
        **top,
        "definitions": made,
    }
