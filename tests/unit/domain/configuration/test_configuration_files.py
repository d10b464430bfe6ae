"""Errors in files name the file, the line, what was found and what was expected (E4, E6)."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from configuration_files import FILES, HOOK, files, made, problems
from liftlock.domain.configuration.checks import operations_name_real_projects
from liftlock.domain.configuration.folder import read_folder
from liftlock.domain.configuration.generate import generate
from liftlock.domain.configuration.kinds import ENTRIES, schema
from liftlock.domain.configuration.reading import FilesRefusedError
from liftlock.domain.configuration.resources import Key
from liftlock.domain.configuration.whole import Whole
from liftlock.web.references import documents


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"projects": "app:\n  identity: https://example.org/app\n  level: 4\n  trust-domain: demo\n"},
            "projects.yml:3: app: level: Invalid enum value 4",
        ),
        (
            {"projects": "app:\n  identity: https://example.org/app\n  level: 3\n"},
            "projects.yml:2: app: Object missing required field `trust-domain`",
        ),
        (
            {"grants": "- grant: [x]\n  to:\n  - {groups: [managers]}\n  whom: me\n"},
            "grants.yml:1: Object contains unknown field `whom`",
        ),
        ({"groups": "a: {}\nb: {}\na: {}\n"}, "groups.yml:3: the key 'a' is given twice"),
        (
            {"grants": "- grant:\n  - x\n  - 3\n  to: [{groups: [managers]}]\n"},
            "grants.yml:3: grant[1]: Expected `str`, got `int`",
        ),
        ({"grants": "grant: x\n"}, "grants.yml:1: expected a list, found a mapping"),
        ({"groups": "- x\n"}, "groups.yml:1: expected a mapping, found a list"),
        ({"groups": "a: [\n"}, "groups.yml:2: expected YAML: did not find expected node content"),
        (
            {"grants": "- grant: [x]\n  to: [{groups: [nobody]}]\n"},
            "grants.yml:1: to: there is no group nobody",
        ),
        (
            {"grants": "- grant: [x]\n  to: [{}]\n"},
            "grants.yml:1: to: expected one of projects, groups and roles in each item",
        ),
        (
            {"grants": "- grant: ['x:{lvl}']\n  to: [{projects: {}}]\n"},
            "grants.yml:1: grant: x:{lvl}: expected {level}, {trust-domain}, {project} or {path}",
        ),
        (
            {"roles": "r:\n  scopes: ['a**']\n"},
            "roles.yml:1: role r: scope 'a**': must not end in `**`; write one `*`",
        ),
        (
            {"hooks": HOOK + "  schedule: [nonsense]\n"},
            "hooks.yml:1: tools/one: schedule[0]",
        ),
        (
            {"hooks": HOOK + "  triggered-by: [nobody]\n"},
            "hooks.yml:1: tools/one: triggered-by: there is no group nobody",
        ),
        (
            {"clients": "people/a: {groups: [nobody]}\n"},
            "clients.yml:1: people/a: clients.yml:1: groups: there is no group nobody",
        ),
        (
            {"liftlock": "version: 1\nname: demo\nmanaged: ['Role=*', 'Robot=*']\n"},
            "liftlock.yml: managed: expected <Kind>=<id or prefix*>, found 'Robot=*'",
        ),
        (
            {"liftlock": "version: 2\nname: demo\nmanaged: []\n"},
            "liftlock.yml:1: version: Invalid enum value 2",
        ),
        ({"liftlock": None}, "liftlock.yml: expected version, name and managed; there is no such file"),
        ({"typo": "x"}, "typo.yml: expected one of liftlock.yml, projects.yml"),
    ],
)
def test_e6_an_error_names_the_file_the_line_and_what_was_expected(
    changes: dict[str, str | None], expected: str
) -> None:
    found = problems(**changes)
    assert any(problem.startswith(expected) for problem in found), found


def test_every_problem_is_told_at_once_in_the_order_of_the_lines() -> None:
    found = problems(groups="a: {x: 1}\nb: {push-levels: [7]}\n")
    assert found[:2] == [
        "groups.yml:1: a: Object contains unknown field `x`",
        "groups.yml:2: b: push-levels[0]: Invalid enum value 7",
    ]


def test_a_kind_may_be_spread_over_a_folder_and_a_name_given_once_only() -> None:
    spread = files(groups=None) | {"groups/a.yml": b"a: {}\n", "groups/more/b.yml": b"b: {}\na: {}\n"}
    with pytest.raises(FilesRefusedError) as refused:
        read_folder(spread)
    assert str(refused.value) == "groups/more/b.yml:2: a is given twice, first at groups/a.yml:1"


def test_what_no_pattern_covers_is_refused() -> None:
    found = problems(
        liftlock="version: 1\nname: demo\nmanaged: ['Role=*', 'WorkerPool=*', 'ActionPolicy=*']\n"
    )
    assert found == [
        "projects.yml:1: Project=app: no pattern of `managed` in liftlock.yml covers it",
        "projects.yml:6: Project=try: no pattern of `managed` in liftlock.yml covers it",
    ]


def test_the_gates_policy_is_checked_where_it_stands() -> None:
    with pytest.raises(FilesRefusedError) as refused:
        read_folder(files() | {"gate.toml": b"version = 1\n[limits]\nshown-bugs = 9\n"})
    assert str(refused.value) == "gate.toml: gate policy: limits.shown-bugs: expected 0 to 3, found 9"
    read_folder(files() | {"gate.toml": b"version = 1\n"})


OPERATION = b"""\
operations:
  format:
    description: Run the formatter
    project: %s
    stage1: {queue: local/unprivileged, command: [[ruff, format]]}
    contract: {files: [{names: "*.patch", type: text, least: 0, most: 1, maxBytes: 1000}]}
    stage2: {kind: push-branch, settings: {}, secrets: {}}
"""


def test_operations_are_checked_by_their_own_parser() -> None:
    with pytest.raises(FilesRefusedError) as refused:
        read_folder(files() | {"operations.yml": b"operation: {}\n"})
    assert str(refused.value).startswith(
        "operations.yml: operations file: expected only operations and approvers at the top, found 'operation'"
    )
    for project, expected in (
        (b"app", []),
        (b"nothing", ["operations.format: project: there is no project nothing"]),
    ):
        folder = read_folder(files() | {"operations.yml": OPERATION % project})
        found = operations_name_real_projects(Whole(folder, generate(folder)))
        assert [problem.message for problem in found] == expected


def test_aliases_are_counted_each_time_and_deep_values_are_refused() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    with pytest.raises(FilesRefusedError, match="expected at most 2000000 values"):
        read_folder(files(hooks="x:\n  task:\n" + "".join(f"    {line}\n" for line in bomb.splitlines())))
    with pytest.raises(FilesRefusedError, match="expected at most 60 levels"):
        read_folder(files(hooks="x: {task: " + "{a: " * 70 + "1" + "}" * 71))


def test_repositories_get_the_roles_of_their_jobs() -> None:
    found = {key.id: resource.scopes for key, resource in made().items() if key.kind == "Role"}
    assert found["repo:example.org/app:branch:*"] == (
        "in-tree:hook-action:project-demo/in-tree-action-3-*",
        "queue:create-task:low:local/unprivileged",
        "queue:scheduler-id:demo-level-3",
    )
    assert found["repo:example.org/app:action:promote"] == ("secrets:get:release",)
    assert found["hook-id:project-demo/in-tree-action-3-promote/*"] == (
        "assume:repo:example.org/app:action:promote",
    )
    assert found["hook-id:project-demo/in-tree-action-1-generic/*"] == (
        "assume:repo:example.org/try:action:generic",
    )
    assert found["group:newcomers"] == ("hooks:trigger-hook:project-demo/in-tree-action-1-generic/*",)
    assert found["group:developers"] == (
        "hooks:trigger-hook:project-demo/in-tree-action-1-generic/*",
        "hooks:trigger-hook:project-demo/in-tree-action-3-generic/*",
    )
    assert found["group:managers"] == ()


def test_pull_requests_have_actions_of_their_own() -> None:
    with_pulls = FILES["projects.yml"] + "  features: [actions, pull-requests, cron]\n"
    found = {key.id: resource.scopes for key, resource in made(projects=with_pulls).items()}
    offered = ("in-tree:hook-action:project-demo/in-tree-pr-action-1-*",)
    assert found["repo:example.org/try:pull-request"] == offered
    assert found["hook-id:project-demo/in-tree-pr-action-1-generic/*"] == (
        "assume:repo:example.org/try:pr-action:generic",
    )
    assert "hooks:trigger-hook:project-demo/in-tree-pr-action-1-generic/*" in found["group:newcomers"]
    assert found["repo:example.org/try:cron:*"] == ("in-tree:hook-action:project-demo/in-tree-action-1-*",)
    assert "repo:example.org/app:cron:*" not in found


def test_hooks_bring_their_role_and_who_may_trigger_them() -> None:
    found = made(hooks=HOOK + "  scopes: [a]\n  triggered-by: [managers]\n")
    assert found[Key("Role", "hook-id:tools/one")].scopes == ("a",)
    assert found[Key("Role", "group:managers")].scopes == ("hooks:trigger-hook:tools/one",)
    assert found[Key("Hook", "tools/one")].content["metadata"]["description"] == (
        "Made from configuration; do not edit. "
    )


@pytest.mark.parametrize("kind", [*ENTRIES, "liftlock"])
def test_every_kind_has_a_schema_that_refuses_unknown_keys(kind: str) -> None:
    document = schema(kind)
    assert document["title"]
    assert all(each.get("additionalProperties") is False for each in document["definitions"].values()), (
        document
    )


EXAMPLE = Path(__file__).parents[4] / "examples" / "configuration"


@pytest.mark.parametrize("file", sorted(path.name for path in EXAMPLE.glob("*.yml")))
def test_the_example_fits_the_published_schemas(file: str) -> None:
    document = yaml.safe_load((EXAMPLE / file).read_text())
    validator = jsonschema_rs.Draft7Validator(schema(file.removesuffix(".yml")))
    assert [error.message for error in validator.iter_errors(document)] == []
    broken = [{"typo": 1}] if isinstance(document, list) else {"typo": {"typo": 1}}
    assert not validator.is_valid(broken)


def test_a_server_publishes_the_schemas_of_the_files() -> None:
    published = documents((), "https://lift.example")
    for kind in ("liftlock", *ENTRIES):
        path = f"/schemas/configuration/v1/{kind}.json"
        document = json.loads(published[path])
        assert document["$id"] == f"https://lift.example{path}#"
        assert {**document, "$id": 1} == {**json.loads(json.dumps(schema(kind))), "$id": 1}
