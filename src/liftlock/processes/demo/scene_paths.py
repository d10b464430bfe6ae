"""What people can cause, seen by the operator: who reaches the release key, and by which steps (A16)."""

from __future__ import annotations

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.grants import DEVELOPER, HOOK_GROUP, MANAGER, PROMOTION, RELEASE_SECRET
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import expect, expect_equal
from liftlock.processes.demo.stage import Stage

KEY = f"secrets:get:{RELEASE_SECRET}"


def play(stage: Stage, developer: Person) -> None:
    """Ask from where paths lead to the release key."""
    stage.say(
        "\nWho could cause what? From the developer no path leads to the release key; one does from Morgan:"
    )
    with stage.report.check("paths"):
        _none_from_the_developer(stage, developer)
        _one_from_the_manager(stage)
        _nobody_else(stage)


def _none_from_the_developer(stage: Stage, developer: Person) -> None:
    own = developer.liftlock("access", "paths", "--to", KEY)
    stage.quote(own.stdout)
    expect_equal("the exit status", own.status, int(Exit.DENIED))
    ended = stage.root.liftlock("access", "reach", DEVELOPER.client_id, "--json")
    expect_equal("the exit status", ended.status, int(Exit.OK))
    reached = ended.json
    expect(bool(reached["places"]), "the developer reaches no hook, so this shows nothing")
    expect_equal("places that are not shown to the operator", reached["placesNotShown"], 0)
    expect(KEY not in reached["scopes"], f"the developer reaches {KEY}: {reached['places']}")


def _one_from_the_manager(stage: Stage) -> None:
    ended = stage.root.liftlock("access", "paths", "--from", MANAGER.client_id, "--to", KEY)
    stage.quote(ended.stdout)
    expect_equal("the exit status", ended.status, int(Exit.OK))
    for shown in (f"triggers the hook {HOOK_GROUP}/{PROMOTION}/", f"holds {KEY}"):
        expect(shown in ended.stdout, f"it does not show {shown!r}: {ended.text}")


def _nobody_else(stage: Stage) -> None:
    ended = stage.root.liftlock("access", "who", KEY, "--json")
    people = [one["clientId"] for one in ended.json["clients"]]
    expect_equal(
        "the people who reach the release key",
        [name for name in people if not name.startswith("static/")],
        [MANAGER.client_id],
    )
