"""The shipped checks over the whole that files make: what each refuses, and that the path is shown (A16, E4)."""

from __future__ import annotations

import pytest

from configuration_files import FILES, HOOK, failed

BRIDGE = """\
tools/bridge:
  name: Bridge
  owner: ops@example.org
  task: {payload: {}}
  scopes: ['hooks:trigger-hook:tools/key']
  triggered-by: [newcomers]
tools/key:
  name: Key
  owner: ops@example.org
  task: {payload: {}}
  scopes: ['secrets:get:release']
"""


def only(name: str, **changes: str | None) -> str:
    """Return what the one failing check, `name`, says."""
    found = failed(**changes)
    assert list(found) == [name], found
    return "\n".join(map(str, found[name]))


def test_the_files_of_these_tests_pass() -> None:
    assert failed() == {}


def test_a16_a_two_step_path_from_level_1_to_a_release_secret_is_refused_with_the_path() -> None:
    said = only("no level-3 scope is reached from level 1", hooks=BRIDGE)
    assert said == (
        "grants.yml:3: secrets:get:release is for level 3 only, and is reached from level 1:\n"
        "group newcomers: reaches secrets:get:release in 2 steps\n"
        "  1. group newcomers triggers the hook tools/bridge\n"
        "     this needs hooks:trigger-hook:tools/bridge\n"
        "     and it holds hooks:trigger-hook:tools/bridge\n"
        "  2. the task of the hook tools/bridge triggers the hook tools/key\n"
        "     this needs hooks:trigger-hook:tools/key\n"
        "     and it holds hooks:trigger-hook:tools/key\n"
        "  the task of the hook tools/key holds secrets:get:release"
    )


def test_a16_level_1_tasks_that_may_trigger_level_3_actions_are_refused() -> None:
    more = FILES["grants.yml"] + (
        "- grant: ['hooks:trigger-hook:project-demo/*']\n  to: [{projects: {levels: [1]}}]\n"
    )
    said = "\n".join(map(str, failed(grants=more)["no level-3 scope is reached from level 1"]))
    assert "hooks:trigger-hook:project-demo/in-tree-action-3-* is for level 3 only" in said
    assert "a task of try: holds hooks:trigger-hook:project-demo/* without any step" in said


def test_a16_a_level_in_braces_is_for_that_level_only() -> None:
    more = FILES["grants.yml"] + "- grant: ['queue:scheduler-id:*']\n  to: [{projects: {levels: [1]}}]\n"
    assert "queue:scheduler-id:demo-level-3 is for level 3 only" in only(
        "no level-3 scope is reached from level 1", grants=more
    )


def test_wildcard_repositories_are_level_1() -> None:
    wild = FILES["projects.yml"] + (
        "all:\n  identity: https://example.org/people/*\n  level: {}\n  trust-domain: other\n"
    )
    assert failed(projects=wild.format(1)) == {}
    assert only("wildcard repositories are level 1", projects=wild.format(2)) == (
        "projects.yml:11: all: https://example.org/people/* stands for any repository there: expected level 1, found 2"
    )


def test_grants_name_real_pools() -> None:
    more = (
        FILES["grants.yml"]
        + "- grant: ['queue:create-task:low:local/unpriviledged']\n  to: [{groups: [managers]}]\n"
    )
    assert only("grants name real pools", grants=more) == (
        "grants.yml:5: Role=group:managers: queue:create-task:low:local/unpriviledged: there is no such pool"
    )
    for pattern in ("queue:create-task:low:local/*", "queue:create-task:*", "queue:create-task:project:none"):
        assert failed(grants=more.replace("queue:create-task:low:local/unpriviledged", pattern)) == {}


def test_trusted_pools_are_for_trusted_levels() -> None:
    pools = "local/unprivileged: {owner: ops@example.org, levels: [3]}\n"
    assert only("trusted pools are for trusted levels", pools=pools) == (
        "pools.yml:1: local/unprivileged is for levels [3], and try, of level 1, holds"
        " queue:create-task:low:local/unprivileged"
    )


def test_listed_groups_alone_may_trigger_listed_hooks() -> None:
    groups = "newcomers: {push-levels: [1]}\nmanagers: {}\nothers: {scopes: ['hooks:trigger-hook:*']}\n"
    said = only(
        "listed groups alone trigger listed hooks",
        groups=groups,
        hooks=HOOK + "  triggered-by: [managers]\n",
        clients="people/a: {scopes: ['hooks:trigger-hook:tools/one']}\npeople/b: {groups: [managers]}\n",
    )
    assert (
        "hooks.yml:1: tools/one: group others may trigger it; expected managers (triggered-by) alone" in said
    )
    assert "hooks.yml:1: tools/one: client people/a may trigger it; expected managers" in said
    assert "project-demo/in-tree-action-3-promote/*: group others may trigger it" in said
    assert "people/b" not in said


def hook(schema: str, task: str, more: str = "") -> str:
    return (
        f"tools/one:\n  name: One\n  owner: ops@example.org\n{more}"
        f"  trigger-schema: {{type: object, additionalProperties: false, properties: {{x: {schema}}}}}\n  task: {task}\n"
    )


WORD = "{type: string, pattern: '^[a-z]+$'}"


@pytest.mark.parametrize(
    "task",
    [
        "{payload: {command: [sh, -c, 'echo ${payload.x}']}}",
        "{payload: {command: [/bin/bash, -exc, 'echo ${payload.x}']}}",
        "{payload: {command: 'echo ${payload.x}'}}",
        "{payload: {command: [[sh, -c, {$if: 'true', then: 'echo ${payload.x}'}]]}}",
        "{payload: {command: {$eval: payload.x}}}",
        "{$let: {y: {$eval: payload.x}}, in: {payload: {command: [sh, -c, 'echo ${y}']}}}",
        "{$let: {y: '-${payload.x}'}, in: {$let: {z: {$eval: y}}, in: {payload: {command: [sh, -c, 'echo ${z}']}}}}",
        "{payload: {command: [sh, -c, {$eval: 'payload.x'}]}}",
        "{payload: {steps: [{run: 'make ${payload.x}'}]}}",
    ],
)
def test_a_payloads_string_in_a_shell_string_is_refused(task: str) -> None:
    said = only("no payload is spliced into a shell command", hooks=hook(WORD, task))
    assert said.startswith("hooks.yml:1: tools/one: task.")
    assert "expected an environment variable, or an argument of its own" in said


@pytest.mark.parametrize(
    ("schema", "task"),
    [
        (WORD, "{payload: {command: [echo, '${payload.x}']}}"),
        (WORD, "{payload: {env: {X: '${payload.x}'}, command: [sh, -c, 'echo \"$X\"']}}"),
        (WORD, "{payload: {command: [sh, -c, 'echo $${payload.x}']}}"),
        ("{type: integer}", "{payload: {command: [sh, -c, 'sleep ${payload.x}']}}"),
        ("{enum: [one, two]}", "{payload: {command: [sh, -c, 'echo ${payload.x}']}}"),
    ],
)
def test_arguments_variables_numbers_and_listed_words_pass(schema: str, task: str) -> None:
    assert failed(hooks=hook(schema, task)) == {}


def test_listed_words_that_a_shell_reads_otherwise_are_refused() -> None:
    task = "{payload: {command: [sh, -c, 'echo ${payload.x}']}}"
    only("no payload is spliced into a shell command", hooks=hook("{enum: [one, '$(two)']}", task))


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ("{type: string}", "payload.x"),
        ("{type: string, pattern: '[a-z]'}", "payload.x"),
        ("{}", "payload.x"),
        ("{type: array, items: {type: string}}", "payload.x[]"),
        ("{type: object, additionalProperties: {type: string}}", "payload.x.*"),
        ("{type: object}", "payload.x.*"),
        ("{anyOf: [{type: 'null'}, {type: string}]}", "payload.x"),
    ],
)
def test_an_unbounded_string_in_a_payload_is_refused(schema: str, where: str) -> None:
    assert f"tools/one: trigger-schema: {where}: " in only(
        "payloads are bounded", hooks=hook(schema, "{payload: {}}")
    )


@pytest.mark.parametrize(
    "schema", ["{type: string, maxLength: 9}", WORD, "{enum: [a]}", "{anyOf: [{type: 'null'}, {enum: [a]}]}"]
)
def test_bounded_strings_pass(schema: str) -> None:
    assert failed(hooks=hook(schema, "{payload: {}}")) == {}


def test_free_text_passes_if_the_task_gets_it_as_json_only() -> None:
    free = "  free-text: [payload.x]\n"
    as_json = "{payload: {env: {X: {$json: {$eval: 'payload.x'}}}}}"
    assert failed(hooks=hook("{type: string}", as_json, free)) == {}
    for task in (
        "{payload: {env: {X: '${payload.x}'}}}",
        "{payload: {env: {X: {$eval: payload}}}}",
        "{payload: {env: {X: {$json: {$eval: 'payload.x'}}, Y: '${payload.x}'}}}",
    ):
        said = only("payloads are bounded", hooks=hook("{type: string}", task, free))
        assert said.endswith("payload.x is free text, and the template uses it otherwise than by $json")


@pytest.mark.parametrize(
    ("never", "holds"),
    [
        ("{from: 'group:newcomers', to: 'secrets:*'}", False),
        ("{from: 'level:1', to: 'secrets:get:release'}", False),
        ("{from: 'role:group:newcomers', to: 'secrets:get:release'}", False),
        ("{from: 'scope:hooks:trigger-hook:tools/*', to: 'secrets:get:release'}", False),
        ("{from: 'people/*', to: 'secrets:get:release'}", False),
        ("{from: 'people/*', to: 'secrets:get:release', except: [people/new]}", True),
        ("{from: 'group:developers', to: 'secrets:get:other'}", True),
        ("{from: 'group:nobody', to: 'x'}", False),
        ("{from: 'people/nobody', to: 'x'}", False),
    ],
)
def test_a16_what_must_never_be_reached_is_checked_along_paths(never: str, holds: bool) -> None:
    found = failed(
        hooks=BRIDGE, never=f"- {never}\n", clients="people/new: {groups: [newcomers]}\npeople/old: {}\n"
    )
    assert ("what must never be reached is not" not in found) == holds


def test_a_push_counts_as_a_step() -> None:
    found = failed(
        never="- {from: 'group:developers', to: 'in-tree:hook-action:project-demo/in-tree-action-3-*'}\n"
    )
    [problem] = found["what must never be reached is not"]
    assert (
        "group developers pushes, and tasks run with the role repo:example.org/app:branch:*"
        in problem.message
    )


def test_roles_that_feed_each_other_are_told_and_nothing_else_is_looked_at() -> None:
    roles = "'a*': {scopes: ['assume:b<..>']}\n'b*': {scopes: ['assume:a<..>']}\n"
    assert "roles feed each other their parameter in a cycle" in only("roles go together", roles=roles)
