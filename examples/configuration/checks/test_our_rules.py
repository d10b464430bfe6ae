"""Rules of this organisation, beside those that liftlock ships."""

from __future__ import annotations

from liftlock.domain.configuration.resources import by_kind
from liftlock.domain.configuration.whole import Whole


def test_programs_get_no_wildcards(configuration: Whole) -> None:
    for client in by_kind(configuration.files, "Client"):
        if client.key.id.startswith("service/"):
            assert [scope for scope in client.scopes if scope.endswith("*")] == []


def test_the_release_key_is_read_by_promotion_only(configuration: Whole) -> None:
    readers = [
        role.key.id
        for role in by_kind(configuration.files, "Role")
        if configuration.book.expand(role.scopes).satisfies("secrets:get:project/widget/release")
    ]
    assert readers == [
        "hook-id:project-demo/in-tree-action-3-release-promotion/*",
        "repo:github.com/liftlock-demo/widget:action:release-promotion",
    ]
