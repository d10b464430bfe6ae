"""Explanations: A14, everyone can see their scopes and why, and what a refusal lacked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.scopes.explanation import REDACTED, Branch, Leaf, Node, Step, explain
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.domain.scopes.satisfaction import AllOf, AnyOf, decide, satisfies

BOOK = RoleBook(
    [
        Role("everyone", ("read",)),
        Role("team:*", ("assume:project:<..>:developer", "assume:everyone")),
        Role("project:widget:*", ("hooks:trigger-hook:widget/*",)),
        Role("secret-role", ("release:*",)),
        Role("lead", ("assume:secret-role",)),
    ]
)


def test_a14_a_satisfied_leaf_shows_the_role_chain_from_a_scope_of_ones_own() -> None:
    leaf = explain(BOOK, ["assume:team:widget"], "hooks:trigger-hook:widget/build")
    assert leaf == Leaf(
        scope="hooks:trigger-hook:widget/build",
        satisfied=True,
        by="hooks:trigger-hook:widget/*",
        chain=(
            Step("assume:team:widget", "team:*", "assume:project:widget:developer"),
            Step("assume:project:widget:developer", "project:widget:*", "hooks:trigger-hook:widget/*"),
        ),
        grantors=(),
    )


def test_a14_a_missing_leaf_names_the_roles_that_would_give_it() -> None:
    assert explain(BOOK, ["read"], "release:ship") == Leaf("release:ship", False, None, (), ("secret-role",))
    assert explain(BOOK, [], "assume:project:x:developer") == Leaf(
        "assume:project:x:developer", False, None, (), ("team:*",)
    )


def test_a_leaf_of_ones_own_has_no_chain() -> None:
    assert explain(BOOK, ["a*"], "ab") == Leaf("ab", True, "a*", (), ())


def test_a_tree_has_the_shape_of_its_expression() -> None:
    tree = explain(BOOK, ["a"], AllOf("a", AnyOf("b", "c"), AnyOf("a", "b")))
    assert isinstance(tree, Branch)
    assert (tree.kind, tree.satisfied) == ("AllOf", False)
    assert [part.satisfied for part in tree.parts] == [True, False, True]


def test_roles_one_may_not_see_are_redacted_in_chains_and_left_out_of_grantors() -> None:
    leaf = explain(BOOK, ["assume:lead"], "release:ship", visible=lambda role_id: role_id != "secret-role")
    assert isinstance(leaf, Leaf)
    assert leaf.chain == (Step("assume:lead", "lead", REDACTED), Step(REDACTED, REDACTED, "release:*"))
    assert "secret-role" not in repr(leaf)
    missing = explain(BOOK, [], "release:ship", visible=lambda role_id: role_id != "secret-role")
    assert isinstance(missing, Leaf)
    assert missing.grantors == ()


scopes = st.sampled_from(
    ["assume:team:widget", "assume:lead", "assume:team:*", "read", "release:x", "a*", "assume*"]
)
needs = st.recursive(
    st.sampled_from(["read", "release:x", "hooks:trigger-hook:widget/b", "nothing", "ab"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: AllOf(*parts))
        | st.lists(inner, max_size=3).map(lambda parts: AnyOf(*parts))
    ),
    max_leaves=6,
)


def check_chains(node: Node, own: list[str]) -> None:
    if isinstance(node, Branch):
        for part in node.parts:
            check_chains(part, own)
    elif node.satisfied:
        assert node.by is not None
        assert satisfies(node.by, node.scope)
        assert (node.chain[0].held if node.chain else node.by) in own
        for earlier, later in zip(node.chain, node.chain[1:], strict=False):
            assert earlier.given == later.held


@given(st.lists(scopes, max_size=4), needs)
def test_the_explanation_agrees_with_the_decision(own: list[str], need: AllOf | AnyOf | str) -> None:
    tree = explain(BOOK, own, need)
    assert tree.satisfied is (decide(BOOK.expand(own), need) is None)
    check_chains(tree, own)
