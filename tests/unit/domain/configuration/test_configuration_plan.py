"""The three-way difference, and the order in which it is applied: no moment gives more than before or after (E4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configuration_files import HOOK, made
from liftlock.domain.configuration.difference import Applied, Plan, plan
from liftlock.domain.configuration.live import live_secrets, same_secret, secret_hash
from liftlock.domain.configuration.order import common, steps
from liftlock.domain.configuration.page import page
from liftlock.domain.configuration.resources import Key, Managed, Resource, Resources, role
from liftlock.domain.configuration.shown import lines, plan_wire, summary
from liftlock.domain.configuration.whole import graph_of
from liftlock.domain.scopes.escalation import PushRight
from liftlock.domain.scopes.satisfaction import ScopeSet, satisfies
from liftlock.errors import DependencyCycleError, InputInvalidError

ALL = Managed(["*"])


def of(*resources: Resource) -> Resources:
    return {resource.key: resource for resource in resources}


def digests(resources: Resources) -> dict[str, str]:
    return {str(key): resource.digest for key, resource in resources.items()}


def text(found: Plan) -> list[str]:
    return [line for _, line in lines(found)]


def test_nothing_to_do_is_no_change_and_what_is_not_managed_is_not_looked_at() -> None:
    files = of(role("a", ["x"]))
    live = files | of(role("other", ["y"]))
    found = plan(files, Applied(digests(files)), live, Managed(["Role=a"]))
    assert (found.changes, found.unchanged) == ((), 1)
    assert [str(change.key) for change in plan(files, Applied(), live, ALL).changes] == ["Role=other"]


def test_widening_comes_first_and_says_which_scopes() -> None:
    live = of(role("a", ["x", "y:*"]), role("b", ["x", "z"]), role("d", ["q"]))
    files = of(role("a", ["x", "y:1"]), role("b", ["x", "w:*"]), role("c", ["v"]))
    assert text(plan(files, Applied(digests(live)), live, ALL)) == [
        "These let somebody do more than before:",
        "~ Role=b",
        "    + w:*",
        "    - z",
        "+ Role=c",
        "    + v",
        "Other changes:",
        "~ Role=a",
        "    - y:*",
        "- Role=d",
        "    - q",
        "1 to create, 2 to change, 1 to delete, 0 unchanged; 2 widen, 0 undo what was changed elsewhere",
    ]


@pytest.mark.parametrize(
    ("applied", "live", "drift"),
    [
        (["x"], ["x"], None),
        (["y"], ["y"], False),
        (["x"], ["y"], True),
        (["y"], ["z"], True),
        (["x"], None, True),
    ],
)
def test_drift_is_what_the_server_has_and_no_apply_left_there(
    applied: list[str], live: list[str] | None, drift: bool | None
) -> None:
    files = of(role("a", ["x"]))
    have = {} if live is None else of(role("a", live))
    found = plan(files, Applied(digests(of(role("a", applied)))), have, ALL)
    assert [change.drift for change in found.changes] == ([] if drift is None else [drift])


def test_a_role_that_somebody_added_beside_the_files_is_drift_and_is_deleted() -> None:
    files = of(role("a", ["x"]))
    found = plan(files, Applied(digests(files)), files | of(role("b", ["*"])), ALL)
    [change] = found.changes
    assert (change.verb, str(change.key), change.drift, change.narrows) == ("delete", "Role=b", True, ("*",))


def test_while_an_apply_is_unfinished_nothing_counts_as_drift() -> None:
    files = of(role("a", ["x"]))
    found = plan(files, Applied({"Role=a": "0" * 64}, digests(files)), of(role("a", ["y"])), ALL)
    assert [change.drift for change in found.changes] == [False]


def project(**changes: Any) -> Resource:
    content = {
        "identityUrl": "https://example.org/a",
        "fetchUrl": "/a",
        "vcs": "git",
        "level": 1,
        "branches": ["main"],
        "trustDomain": "demo",
    }
    return Resource(Key("Project", "a"), content | changes)


def policy(**changes: Any) -> Resource:
    content = {"levels": [1], "permissions": ["generic"], "selfAdmitted": ["generic"], "inputSchemas": {}}
    return Resource(Key("ActionPolicy", "demo"), content | changes)


@pytest.mark.parametrize(
    ("before", "after", "widens"),
    [
        (project(), project(level=3), ["pushes run at level 3"]),
        (project(level=3), project(), []),
        (project(), project(branches=["main", "x*"]), ["pushes to x* run tasks"]),
        (project(), project(fetchUrl="/b"), ["what is at /b counts as pushed"]),
        (
            project(),
            project(identityUrl="https://example.org/b"),
            ["pushes run with the roles of https://example.org/b"],
        ),
        (policy(), policy(permissions=["generic", "promote"]), ["pushes bring hooks for promote"]),
        (
            policy(permissions=["generic", "p"]),
            policy(permissions=["generic", "p"], selfAdmitted=["generic", "p"]),
            ["p needs nobody's consent"],
        ),
        (
            policy(permissions=["p"], inputSchemas={"p": {"type": "object"}}),
            policy(permissions=["p"]),
            ["the input of p is no longer limited"],
        ),
        (policy(), policy(selfAdmitted=[]), []),
        (policy(), policy(levels=[1, 3]), ["pushes at level 3 bring hooks"]),
    ],
)
def test_widening_is_said_in_words_where_there_are_no_scopes(
    before: Resource, after: Resource, widens: list[str]
) -> None:
    [change] = plan(of(after), Applied(), of(before), ALL).changes
    assert list(change.widens) == widens


def test_a_new_hook_and_another_task_or_schema_widen() -> None:
    old, new = made(hooks=HOOK), made(hooks=HOOK.replace("{payload: {}}", "{payload: {a: 1}}"))
    key = Key("Hook", "tools/one")
    [changed] = plan({key: new[key]}, Applied(), {key: old[key]}, ALL).changes
    assert changed.widens == ("its role's scopes are used by another task",)
    [created] = plan({key: new[key]}, Applied(), {}, ALL).changes
    assert created.widens == ("who may trigger tools/one has its role's scopes used",)


def test_one_digest_names_exactly_one_plan() -> None:
    files, live = of(role("a", ["x"])), of(role("a", ["y"]))
    first = plan_wire(plan(files, Applied(), live, ALL))
    assert first["digest"] == plan_wire(plan(files, Applied(), live, ALL))["digest"]
    assert first["digest"] != plan_wire(plan(files, Applied(), of(role("a", ["z"])), ALL))["digest"]


def test_the_page_stands_alone_and_escapes_what_it_shows() -> None:
    files = of(role("a", ["<script>alert(1)</script>", "&x"]))
    shown = page("demo", plan(files, Applied(), {}, ALL))
    assert "<script" not in shown
    assert "+ &lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "default-src &#39;none&#39;" in shown or "default-src 'none'" in shown
    assert "http" not in shown.replace("http-equiv", "")
    assert "widens" in shown
    assert summary(plan(files, Applied(), {}, ALL)) in shown


def test_secrets_are_compared_by_salted_hash_and_never_read() -> None:
    key = Key("Secret", "a")
    files = {key: Resource(key, {"fromEnv": "A", "expires": "2099-01-01T00:00:00.000Z"})}
    known = secret_hash({"k": 1}, b"0123456789abcdef")
    assert known.startswith("scrypt$" + b"0123456789abcdef".hex() + "$")
    assert same_secret({"k": 1}, known)
    assert not same_secret({"k": 2}, known)
    assert not any(same_secret(1, broken) for broken in ("", "scrypt$", "scrypt$zz$00", "md5$00$00"))
    for names, hashes, values, verbs in (
        (["a"], {"a": known}, {"a": {"k": 1}}, []),
        (["a"], {"a": known}, {"a": {"k": 2}}, ["update"]),
        (["a"], {}, {"a": {"k": 1}}, ["update"]),
        (["a"], {}, {}, []),
        ([], {"a": known}, {"a": {"k": 1}}, ["create"]),
        (["a", "b"], {"a": known}, {"a": {"k": 1}}, ["delete"]),
    ):
        live = live_secrets(files, names, hashes, values)
        assert [change.verb for change in plan(files, Applied(), live, ALL).changes] == verbs


SCOPES = st.sampled_from(
    [
        "a:1", "a:2", "a:*", "b:*", "*",
        "assume:r1", "assume:r2", "assume:r*", "assume:p1", "assume:p*",
        "assume:hook-id:g/h1", "assume:hook-id:g/*", "hooks:trigger-hook:g/h1", "hooks:trigger-hook:g/h2",
        "hooks:trigger-hook:g/*", "hooks:get-trigger-token:g/h2", "auth:reset-access-token:c1",
        "auth:reset-access-token:c*", "push:1", "push:*",
    ]
)  # fmt: skip
PARAMETERS = st.sampled_from(
    ["a:<..>", "assume:r<..>", "hooks:trigger-hook:g/<..>", "assume:hook-id:g/<..>", "a:<..>:x"]
)


def _roles(ids: list[str], scopes: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, list[str]]]:
    return st.dictionaries(st.sampled_from(ids), st.lists(scopes, max_size=4, unique=True), max_size=4)


@st.composite
def worlds(draw: st.DrawFn) -> Resources:
    plain = draw(_roles(["r1", "r2", "hook-id:g/h1", "hook-id:g/h2", "pushed"], SCOPES))
    stars = draw(_roles(["p*", "hook-id:g/*"], st.one_of(SCOPES, PARAMETERS)))
    found = of(*(role(name, scopes) for name, scopes in (plain | stars).items()))
    for name in draw(st.sets(st.sampled_from(["g/h1", "g/h2"]))):
        version = draw(st.integers(1, 2))
        found |= of(Resource(Key("Hook", name), {"task": version}))
    for name, scopes in draw(_roles(["c1", "c2"], SCOPES)).items():
        found |= of(Resource(Key("Client", name), {"scopes": scopes}))
    return found


def _reached(resources: Resources, start: str) -> ScopeSet:
    graph = graph_of(resources, (PushRight("push:1", "pushed"),))
    return ScopeSet(scope for node in graph.reach([start]) for scope in node.scopes)


def _moments(before: Resources, after: Resources) -> Iterator[tuple[str, Resources]]:
    now = dict(before)
    for step in steps(plan(after, Applied(), before, ALL)):
        if step.after is None:
            now.pop(step.key)
        else:
            now[step.key] = step.after
        yield step.phase, dict(now)


def _within(some: ScopeSet, more: ScopeSet) -> bool:
    return more.satisfies_all(some)


@settings(max_examples=150, deadline=None)
@given(worlds(), worlds(), SCOPES)
def test_e4_no_moment_of_an_apply_gives_more_than_before_or_after(
    before: Resources, after: Resources, start: str
) -> None:
    try:
        first, last = _reached(before, start), _reached(after, start)
    except (DependencyCycleError, InputInvalidError):
        return
    now = before
    for phase, now in _moments(before, after):
        bound = first if phase == "narrow" else last
        assert _within(_reached(now, start), bound), (phase, now)
    assert {key: each.content for key, each in now.items()} == {
        key: each.content for key, each in after.items()
    }


@settings(max_examples=60, deadline=None)
@given(worlds(), worlds(), st.data())
def test_e4_an_apply_that_was_stopped_anywhere_goes_on_to_the_same_end(
    before: Resources, after: Resources, data: st.DataObject
) -> None:
    moments = [before, *(now for _, now in _moments(before, after))]
    stopped = data.draw(st.sampled_from(moments))
    ends = [stopped, *(now for _, now in _moments(stopped, after))]
    assert {key: each.content for key, each in ends[-1].items()} == {
        key: each.content for key, each in after.items()
    }
    assert steps(plan(after, Applied(), ends[-1], ALL)) == ()


@given(st.lists(SCOPES, max_size=5), st.lists(SCOPES, max_size=5))
def test_what_two_sets_have_in_common_is_given_by_both(some: list[str], others: list[str]) -> None:
    both = common(some, others)
    assert _within(ScopeSet(both), ScopeSet(some))
    assert _within(ScopeSet(both), ScopeSet(others))
    for scope in some:
        if any(satisfies(other, scope) for other in others):
            assert ScopeSet(both).satisfies(scope)


def test_parameters_count_as_common_only_as_they_are() -> None:
    assert common(["a<..>", "b<..>"], ["a*", "b<..>"]) == ("b<..>",)
