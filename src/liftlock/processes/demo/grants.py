"""Who may do what in the demo: scopes belong to the repository's roles, people hold scopes to trigger (A9)."""

from __future__ import annotations

from dataclasses import dataclass

IDENTITY = "https://github.com/liftlock-demo/widget"
PROJECT = "widget"
TRUST_DOMAIN = "demo"
LEVEL = 3
BRANCH = "main"
REPOSITORY_ROLE = "repo:" + IDENTITY.removeprefix("https://")
SCHEDULER = f"{TRUST_DOMAIN}-level-{LEVEL}"
HOOK_GROUP = f"project-{TRUST_DOMAIN}"
GENERIC = f"in-tree-action-{LEVEL}-generic"
PROMOTION = f"in-tree-action-{LEVEL}-release-promotion"
RELEASE_SECRET = f"project/{PROJECT}/release"
ADMIT_SCOPE = f"pushes:admit-hooks:{LEVEL}:release-promotion"

_CREATE = (
    "queue:create-task:low:local/unprivileged",
    "queue:create-task:project:none",
    f"queue:scheduler-id:{SCHEDULER}",
    "queue:route:checks",
    f"queue:route:index.{TRUST_DOMAIN}.v2.{PROJECT}.*",
    f"pushes:get-source:{PROJECT}",
)
_READ = (f"pushes:list-pushes:{PROJECT}",)
EVERYBODY = "anonymous"

ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    EVERYBODY: (
        "What everybody may read, tasks among them",
        (
            "queue:get-task:*",
            "queue:status:*",
            "queue:list-task-group:*",
            "queue:list-artifacts:*",
            "queue:get-artifact:public/*",
            "index:find-task:*",
            "index:list-tasks:*",
            "auth:get-role:*",
        ),
    ),
    f"{REPOSITORY_ROLE}:branch:{BRANCH}": (
        "Decision tasks of pushes to main",
        (*_CREATE, *_READ, f"in-tree:hook-action:{HOOK_GROUP}/in-tree-action-{LEVEL}-*"),
    ),
    f"{REPOSITORY_ROLE}:action:generic": (
        "Actions that everyone at this level may trigger",
        (
            *_CREATE,
            *_READ,
            f"queue:cancel-task:{SCHEDULER}/*",
            f"queue:rerun-task:{SCHEDULER}/*",
            f"pushes:decide-again:{PROJECT}",
        ),
    ),
    f"{REPOSITORY_ROLE}:action:release-promotion": (
        "Release promotion: the only role that may read the release key",
        (*_CREATE, *_READ, f"secrets:get:{RELEASE_SECRET}"),
    ),
    f"hook-id:{HOOK_GROUP}/{GENERIC}/*": (
        "Hooks for generic actions",
        (f"assume:{REPOSITORY_ROLE}:action:generic",),
    ),
    f"hook-id:{HOOK_GROUP}/{PROMOTION}/*": (
        "Hooks for release promotion",
        (f"assume:{REPOSITORY_ROLE}:action:release-promotion",),
    ),
}
"""Role id → description and scopes."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's client: `client_id`, what it is for, and its scopes."""

    client_id: str
    description: str
    scopes: tuple[str, ...]


_LOOK = (
    *_READ,
    "hooks:list-hooks:*",
    f"hooks:get:{HOOK_GROUP}:*",
    f"hooks:list-last-fires:{HOOK_GROUP}/*",
    "liftlock:list-operations",
)
"""What people need to look around."""
DEVELOPER = Grant(
    "people/robin",
    "An ordinary developer: may trigger generic actions",
    (f"hooks:trigger-hook:{HOOK_GROUP}/{GENERIC}/*", *_LOOK),
)
PUSHER_WHO_ADMITS = Grant(
    "people/robin-admin", "The same developer, with the scope to admit restricted actions", (ADMIT_SCOPE,)
)
MANAGER = Grant(
    "people/morgan",
    "The release manager: may admit and trigger release promotion",
    (f"hooks:trigger-hook:{HOOK_GROUP}/{PROMOTION}/*", ADMIT_SCOPE, *_LOOK),
)

POLICY = f"""\
# The standing policy of the demo: which permissions a push brings hooks for, and which need nobody's consent.
[trust-domain.{TRUST_DOMAIN}]
levels = [{LEVEL}]
permissions = ["generic", "release-promotion"]
self-admitted = ["generic"]

[trust-domain.{TRUST_DOMAIN}.input-schema.release-promotion]
type = "object"
required = ["version", "channel"]
additionalProperties = false

[trust-domain.{TRUST_DOMAIN}.input-schema.release-promotion.properties.version]
type = "string"
pattern = "^[0-9]+\\\\.[0-9]+\\\\.[0-9]+$"

[trust-domain.{TRUST_DOMAIN}.input-schema.release-promotion.properties.channel]
enum = ["beta", "release"]

[[person]]
client = "{PUSHER_WHO_ADMITS.client_id}"
names = ["robin"]
"""

POOL_POLICY = """\
# What the demo's tasks may do with caches: strict, but for one scene that shows what a cache of a lower level does.
[caches]
lower-levels = true
"""
