"""Grants with `retire: warn`: what of which role is being taken away."""

from __future__ import annotations

from configuration_files import FILES, made
from liftlock.domain.configuration.difference import Applied, plan
from liftlock.domain.configuration.order import steps
from liftlock.domain.configuration.resources import Key, Managed

WARNED = FILES["grants.yml"] + (
    "- {grant: ['old:{project}'], retire: warn, to: [{projects: {names: [app]}}, {groups: [managers]}]}\n"
)


def retiring(grants: str) -> dict[str, list[str]]:
    return {
        key.id: each.content["scopes"] for key, each in made(grants=grants).items() if key.kind == "Retiring"
    }


def test_a_grant_that_warns_is_given_and_marked() -> None:
    one = (
        FILES["grants.yml"] + "- {grant: ['old:{project}'], retire: warn, to: [{projects: {names: [app]}}]}\n"
    )
    assert retiring(one) == {"repo:example.org/app:branch:*": ["old:app"]}
    assert "old:app" in made(grants=one)[Key("Role", "repo:example.org/app:branch:*")].scopes
    assert retiring(FILES["grants.yml"]) == {}


def test_what_another_grant_gives_without_a_mark_is_not_being_taken_away() -> None:
    both = FILES["grants.yml"] + (
        "- {grant: [x, y], retire: warn, to: [{groups: [managers]}]}\n- {grant: [y], to: [{groups: [managers]}]}\n"
    )
    assert retiring(both) == {"group:managers": ["x"]}


def test_who_manages_the_role_manages_what_of_it_is_being_taken_away() -> None:
    managed = Managed(["Role=group:*"])
    assert Key("Retiring", "group:managers") in managed
    assert Key("Retiring", "repo:x") not in managed
    assert managed.kinds() == {"Role", "Retiring"}


def test_a_mark_is_planned_and_made_after_the_role_loses_and_before_anybody_gains() -> None:
    one = FILES["grants.yml"] + "- {grant: [x], retire: warn, to: [{groups: [managers]}]}\n"
    found = plan(made(grants=one), Applied(), made(), Managed(["*"]))
    assert [(step.phase, str(step.key)) for step in steps(found)] == [
        ("widen", "Role=group:managers"),
        ("mark", "Retiring=group:managers"),
    ]
