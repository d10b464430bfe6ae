"""Every refusal that the API gives is explained: by the scopes that it names, or by a rule of the catalogue (A14)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from source_tree import python_files, shown, tree

from liftlock.domain.actions.binding import RULES as BINDING
from liftlock.domain.scopes.refusal_rules import RULES

LAYERS = {"services", "web"}
OF_PAGES = "src/liftlock/web/pages/"
"""Forms of pages, which no API answers and no command sends: the page itself says why."""
DOCS = Path(__file__).parents[2] / "docs/reference"


def refusals() -> Iterator[tuple[str, ast.Call]]:
    """Yield every place at which a refusal is made."""
    for path in python_files("src"):
        name = shown(path)
        if not LAYERS & set(path.parts) or name.startswith(OF_PAGES):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RefusedError":
                yield f"{name}:{node.lineno}", node


def test_a14_every_refusal_names_its_scopes_or_its_rule() -> None:
    found = [
        where
        for where, call in refusals()
        if not {"rule", "required", None} & {keyword.arg for keyword in call.keywords}
    ]
    assert found == [], (
        "give RefusedError `required` and `unsatisfied`, or the `rule` of domain/scopes/refusal_rules.py"
    )


def test_a14_every_rule_that_a_refusal_names_is_explained_and_none_is_for_nothing() -> None:
    named = {name for name, _, _ in BINDING} | {"hook-name", "payload", "decision", "offer"}
    for where, call in refusals():
        for keyword in call.keywords:
            if keyword.arg == "rule" and not isinstance(keyword.value, ast.Attribute):
                assert isinstance(keyword.value, ast.Constant), f"{where}: expected the rule's name"
                named.add(str(keyword.value.value))
    assert named == set(RULES)


def test_a14_each_rule_says_what_must_hold_what_to_do_and_where_more_is_said() -> None:
    for name, rule in RULES.items():
        page, _, anchor = rule.page.partition("#")
        text = (DOCS / page).read_text(encoding="utf-8")
        assert len(rule.holds) > 20, name
        assert len(rule.remedy) > 20, name
        assert rule.remedy.endswith("."), name
        assert not anchor or f"## {anchor.capitalize()}" in text, f"{name}: {rule.page}"
