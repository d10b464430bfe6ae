"""Attacks on configuration as code: by who edits files, by who changes things beside them, by who writes the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from access_world import NOW, World
from configuration_files import HOOK, failed, made
from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.configuration.difference import Applied, plan
from liftlock.domain.configuration.resources import Managed, role
from liftlock.domain.configuration.shown import lines
from liftlock.errors import RefusedError
from liftlock.services.applied_configuration import AppliedConfiguration

ALL = Managed(["*"])


def test_a_role_slipped_in_beside_the_files_is_shown_and_goes() -> None:
    files = made()
    sneaked = role("group:developers", ["*"])
    applied = Applied({str(key): resource.digest for key, resource in files.items()})
    [change] = plan(files, applied, files | {sneaked.key: sneaked}, ALL).changes
    assert (change.verb, change.drift, change.narrows) == ("update", True, ("*",))


def test_a_false_record_of_what_was_applied_hides_no_difference() -> None:
    files = made()
    sneaked = role("group:sneaked", ["*"])
    live = files | {sneaked.key: sneaked}
    false = Applied({str(key): resource.digest for key, resource in live.items()})
    [change] = plan(files, false, live, ALL).changes
    assert (change.verb, str(change.key)) == ("delete", "Role=group:sneaked")


def test_widening_can_not_hide_among_many_changes() -> None:
    files = {each.key: each for each in (role(f"a{n:04}", ["x"]) for n in range(500))}
    widened = role("zzz", ["x", "secrets:*"])
    found = plan({**files, widened.key: widened}, Applied(), {widened.key: role("zzz", ["x"])}, ALL)
    shown = [line for style, line in lines(found) if style == "widens"]
    assert "    + secrets:*" in shown
    narrowing = plan({widened.key: widened}, Applied(), {**files, widened.key: role("zzz", ["x"])}, ALL)
    assert [line for _, line in lines(narrowing)][1:3] == ["~ Role=zzz", "    + secrets:*"]


def test_a_grant_for_a_level_in_the_middle_of_a_hook_chain_is_seen() -> None:
    chain = (
        "".join(
            HOOK.replace("tools/one", f"tools/h{n}") + f"  scopes: ['hooks:trigger-hook:tools/h{n + 1}']\n"
            for n in range(1, 9)
        )
        + HOOK.replace("tools/one", "tools/h9")
        + "  scopes: ['assume:repo:example.org/app:action:promote']\n"
    )
    entry = chain.replace("tools/h1:\n  name: One\n", "tools/h1:\n  name: One\n  triggered-by: [newcomers]\n")
    assert failed(hooks=chain) == {}
    [problems] = failed(hooks=entry).values()
    assert any("secrets:get:release is for level 3 only" in problem.message for problem in problems)


async def test_the_record_of_applies_needs_a_scope_of_its_own(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    applied = AppliedConfiguration(SqlConfigurationStore(engine))
    robin = await world.make_client("people/robin", "configuration:set-applied:other")
    caller = await world.caller(robin)
    with pytest.raises(RefusedError, match="configuration:set-applied:demo"):
        await applied.put(caller, "demo", {"expected": 0, "digests": {}}, NOW)
    with pytest.raises(RefusedError, match="configuration:get-applied:demo"):
        await applied.get(caller, "demo")
