"""Escalation paths (A16): found if there are any, shortest first, explained step by step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.scopes.escalation import (
    EscalationGraph,
    Hunt,
    Place,
    PushRight,
    given_of,
    overlaps,
)
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.domain.scopes.satisfaction import ScopeSet, satisfies

ROLES = [
    Role("hook-id:generic/retrigger", ("queue:rerun-task:*",)),
    Role("hook-id:generic/bridge", ("hooks:trigger-hook:release/*",)),
    Role("hook-id:release/promote", ("secrets:get:release/key", "assume:repo:example.org/app:*")),
    Role("repo:example.org/app:*", ("queue:create-task:highest:build/*",)),
]
HOOKS = ["generic/retrigger", "generic/bridge", "release/promote"]
CLIENTS = {"people/robin": ("hooks:trigger-hook:generic/*",), "robots/release": ("secrets:get:release/*",)}


def graph(*extra: Role, pushes: tuple[PushRight, ...] = ()) -> EscalationGraph:
    return EscalationGraph(RoleBook([*ROLES, *extra]), HOOKS, CLIENTS, pushes)


def test_a_path_over_two_hooks_is_found_and_explained() -> None:
    found = graph().path(["hooks:trigger-hook:generic/*"], "secrets:get:release/key")
    assert found is not None
    assert [(step.means, step.place.name, step.held) for step in found.steps] == [
        ("trigger", "generic/bridge", "hooks:trigger-hook:generic/*"),
        ("trigger", "release/promote", "hooks:trigger-hook:release/*"),
    ]
    assert found.scopes.satisfies("queue:create-task:highest:build/linux")


def test_what_is_held_from_the_start_needs_no_step() -> None:
    found = graph().path(["secrets:get:*"], "secrets:get:release/key")
    assert found is not None
    assert found.steps == ()


def test_where_no_path_leads_there_is_none() -> None:
    assert graph().path(["hooks:trigger-hook:generic/retrigger"], "secrets:get:release/key") is None
    assert graph().path(["hooks:trigger-hook:gen"], "secrets:get:release/key") is None


def test_a_trigger_token_and_a_clients_token_are_ways_too() -> None:
    token = graph().path(["hooks:get-trigger-token:release/promote"], "secrets:get:release/key")
    assert token is not None
    assert token.steps[0].means == "trigger-token"
    client = graph().path(["auth:reset-access-token:robots/*"], "secrets:get:release/key")
    assert client is not None
    assert client.steps[0].place == Place("client", "robots/release")


def test_a_right_to_push_gives_what_the_repositorys_role_gives() -> None:
    rights = (PushRight("host:push:app", "repo:example.org/app:branch:main"),)
    found = graph(pushes=rights).path(["host:push:*"], "queue:create-task:highest:build/linux")
    assert found is not None
    assert found.steps[0].place == Place("push", "repo:example.org/app:branch:main")


def test_a_pattern_that_is_asked_for_matches_what_lies_below_it() -> None:
    found = graph().path(["hooks:trigger-hook:release/promote"], "secrets:*")
    assert found is not None
    assert len(found.steps) == 1


def test_the_shortest_path_wins() -> None:
    direct = Role("hook-id:generic/retrigger", ("secrets:get:release/key",))
    found = EscalationGraph(RoleBook([*ROLES[1:], direct]), HOOKS, CLIENTS).path(
        ["hooks:trigger-hook:generic/*"], "secrets:get:release/key"
    )
    assert found is not None
    assert [step.place.name for step in found.steps] == ["generic/retrigger"]


NAMES = st.sampled_from(["a/x", "a/y", "b/x", "b/yz", "c/c"])
SCOPES = st.one_of(
    st.builds(
        lambda prefix, name, star: prefix + (name[:star] + "*" if star < 4 else name),
        st.sampled_from(
            ["hooks:trigger-hook:", "hooks:get-trigger-token:", "assume:hook-id:", "auth:reset-access-token:"]
        ),
        NAMES,
        st.integers(0, 6),
    ),
    st.sampled_from(["*", "hooks:*", "auth:*", "target:one", "target:*", "assume:x:1", "assume:x:*"]),
)
BOOKS = st.dictionaries(
    st.one_of(NAMES.map("hook-id:".__add__), st.sampled_from(["hook-id:*", "x:*", "x:1"])),
    st.lists(SCOPES | st.just("target:<..>"), max_size=3),
    max_size=5,
)


def _parameters_stand_only_in_patterns(roles: dict[str, list[str]]) -> list[Role]:
    return [
        Role(role_id, tuple(scope for scope in scopes if "<..>" not in scope or role_id.endswith("*")))
        for role_id, scopes in roles.items()
    ]


def _brute_force(
    book: RoleBook, hooks: list[str], clients: dict[str, tuple[str, ...]], start: list[str]
) -> set[str]:
    """Everything held at any node, by trying every step from every node until nothing new is found."""
    nodes = {("start", ""): set(book.expand(start))}
    while True:
        found = dict(nodes)
        for scopes in nodes.values():
            for hook in hooks:
                ways = [
                    f"hooks:{verb}:{hook}"
                    for verb in ("trigger-hook", "get-trigger-token", "reset-trigger-token")
                ]
                if any(satisfies(held, way) for held in scopes for way in ways):
                    found["hook", hook] = set(book.expand([f"assume:hook-id:{hook}"]))
            for client, own in clients.items():
                if any(satisfies(held, f"auth:reset-access-token:{client}") for held in scopes):
                    found["client", client] = set(book.expand(own))
        if found.keys() == nodes.keys():
            return set().union(*nodes.values())
        nodes = found


@given(
    BOOKS,
    st.lists(SCOPES, max_size=3),
    st.dictionaries(NAMES, st.lists(SCOPES, max_size=2).map(tuple), max_size=3),
)
def test_what_is_reached_is_what_trying_everything_reaches(
    roles: dict[str, list[str]], start: list[str], clients: dict[str, tuple[str, ...]]
) -> None:
    book = RoleBook(_parameters_stand_only_in_patterns(roles))
    hooks = ["a/x", "a/y", "b/x", "b/yz"]
    reached = list(EscalationGraph(book, hooks, clients).reach(start))
    assert set().union(*(each.scopes for each in reached)) == _brute_force(book, hooks, clients, start)
    assert [len(each.steps) for each in reached] == sorted(len(each.steps) for each in reached)
    for each in reached:
        for step in each.steps:
            assert satisfies(step.held, step.needed)


@given(SCOPES, SCOPES)
def test_two_patterns_overlap_if_some_scope_satisfies_both(one: str, other: str) -> None:
    longer = max(one.rstrip("*"), other.rstrip("*"), key=len)
    assert overlaps(one, other) == (satisfies(one, longer) and satisfies(other, longer))


@given(st.lists(SCOPES, max_size=6), SCOPES)
def test_what_is_given_is_one_that_overlaps_if_any_does(scopes: list[str], wanted: str) -> None:
    held = ScopeSet(scopes)
    found = given_of(held, wanted)
    assert (found is not None) == any(overlaps(one, wanted) for one in held)
    if found is not None:
        assert found in held.scopes
        assert overlaps(found, wanted)


@given(
    BOOKS,
    st.dictionaries(NAMES, st.lists(SCOPES, max_size=2).map(tuple), max_size=4),
    st.sampled_from(["target:one", "target:*", "hooks:trigger-hook:b/x", "nothing"]),
)
def test_a_hunt_from_many_starts_finds_paths_as_short_as_searches_of_their_own(
    roles: dict[str, list[str]], clients: dict[str, tuple[str, ...]], wanted: str
) -> None:
    book = RoleBook(_parameters_stand_only_in_patterns(roles))
    graph = EscalationGraph(book, ["a/x", "a/y", "b/x", "b/yz"], clients)
    hunt = Hunt(graph)
    for name, scopes in clients.items():
        alone = graph.path(scopes, wanted, name=name)
        found = next(
            (one for one in hunt.walk(scopes, name=name) if given_of(one.scopes, wanted) is not None), None
        )
        assert (found is None) == (alone is None)
        if found is not None and alone is not None:
            assert len(found.steps) == len(alone.steps)


@given(st.lists(SCOPES, max_size=8), st.sampled_from(["hooks:", "auth:r", "a", "target:o", ""]))
def test_members_by_their_beginning_are_those_of_the_normal_form_or_covered_by_what_begins_otherwise(
    scopes: list[str], text: str
) -> None:
    held = ScopeSet(scopes)
    patterns = [f"{text[:length]}*" for length in range(len(text))]
    assert held.beginning(text, *patterns) == tuple(
        scope for scope in held if scope.startswith((text, *patterns))
    )
