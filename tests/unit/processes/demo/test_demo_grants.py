"""What the demo gives to whom: people get scopes to trigger, and none of those that tasks use (A9)."""

from __future__ import annotations

import tomllib

from liftlock.domain.actions.policy import parse_policy
from liftlock.processes.demo.grants import (
    DEVELOPER,
    HOOK_GROUP,
    MANAGER,
    POLICY,
    PUSHER_WHO_ADMITS,
    RELEASE_SECRET,
    REPOSITORY_ROLE,
    ROLES,
    TRUST_DOMAIN,
)

LOOK = (
    "pushes:list-pushes:",
    "hooks:list-hooks:",
    "hooks:get:",
    "hooks:list-last-fires:",
    "liftlock:list-operations",
)


def test_people_hold_scopes_to_trigger_to_admit_and_to_look_and_no_others() -> None:
    for person in (DEVELOPER, MANAGER, PUSHER_WHO_ADMITS):
        for scope in person.scopes:
            assert scope.startswith(
                (f"hooks:trigger-hook:{HOOK_GROUP}/in-tree-action-3-", "pushes:admit-hooks:3:", *LOOK)
            )


def test_the_developer_may_trigger_nothing_but_generic_actions() -> None:
    does = [scope for scope in DEVELOPER.scopes if not scope.startswith(LOOK)]
    assert does == [f"hooks:trigger-hook:{HOOK_GROUP}/in-tree-action-3-generic/*"]


def test_only_release_promotion_may_read_the_release_key() -> None:
    holders = [role for role, (_, scopes) in ROLES.items() if f"secrets:get:{RELEASE_SECRET}" in scopes]
    assert holders == [f"{REPOSITORY_ROLE}:action:release-promotion"]


def test_the_policy_lets_generic_actions_through_and_makes_the_others_wait() -> None:
    policy = parse_policy(tomllib.loads(POLICY))
    assert policy.permissions(TRUST_DOMAIN, 3) == ("generic", "release-promotion")
    assert policy.permissions(TRUST_DOMAIN, 1) == ()
    assert policy.self_admits(TRUST_DOMAIN, 3, "generic")
    assert not policy.self_admits(TRUST_DOMAIN, 3, "release-promotion")
    assert policy.names_of(PUSHER_WHO_ADMITS.client_id) >= {"robin"}
    assert "robin" not in policy.names_of(MANAGER.client_id)


def test_the_policy_limits_what_a_release_is_given() -> None:
    policy = parse_policy(tomllib.loads(POLICY))
    schema = policy.input_schema(TRUST_DOMAIN, "release-promotion")
    assert schema is not None
    assert schema["required"] == ["version", "channel"]
    assert schema["properties"]["version"]["pattern"] == r"^[0-9]+\.[0-9]+\.[0-9]+$"
    assert schema["additionalProperties"] is False
    assert policy.input_schema(TRUST_DOMAIN, "generic") is None
