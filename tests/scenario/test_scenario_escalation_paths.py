"""Escalation paths on what is stored (A16): found, explained, and renewed when roles, clients or hooks change."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from access_world import NOW
from escalation_world import SECRET, EscalationWorld
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.scopes.escalation import PushRight
from liftlock.errors import NotFoundError
from liftlock.services import escalation_paths
from liftlock.services.escalation_paths import HOOKS_KNOWN_FOR, PathAnswer, Start

ROBIN = Start(client_id="people/robin")


@pytest.fixture
async def there(engine: Engine, tmp_path: Path) -> EscalationWorld:
    return await EscalationWorld.make(engine, tmp_path)


def names(answer: PathAnswer) -> list[str] | None:
    return None if answer.path is None else [step.place.name for step in answer.path.reached.steps]


async def test_a16_a_path_over_two_hooks_is_found_from_a_client_a_role_and_scopes(
    there: EscalationWorld,
) -> None:
    root = await there.world.caller()
    for start, expected in (
        (ROBIN, ["generic/bridge", "release/promote"]),
        (Start(role_id="hook-id:generic/bridge"), ["release/promote"]),
        (Start(scopes=("hooks:trigger-hook:release/promote",)), ["release/promote"]),
        (Start(scopes=("secrets:get:*",)), []),
        (Start(client_id="people/eve"), None),
        (Start(role_id="no-such-role"), None),
    ):
        found = await there.paths.path(root, start, SECRET, (), NOW)
        assert names(found) == expected
        assert found.path is None or found.path.given in (SECRET, "secrets:get:*")


async def test_ones_own_path_needs_no_scope_at_all(there: EscalationWorld) -> None:
    robin = await there.world.caller(there.robin)
    for start in (Start(), ROBIN):
        assert names(await there.paths.path(robin, start, SECRET, (), NOW)) == [
            "generic/bridge",
            "release/promote",
        ]


async def test_authorized_scopes_limit_what_one_reaches_oneself(there: EscalationWorld) -> None:
    limited = await there.world.caller(there.robin, ["hooks:trigger-hook:generic/retrigger"])
    assert names(await there.paths.path(limited, Start(), SECRET, (), NOW)) is None


async def test_who_reaches_a_scope_is_listed_the_nearest_first(there: EscalationWorld) -> None:
    root = await there.world.caller()
    found = await there.paths.who(root, SECRET, (), NOW)
    assert [(who, len(path.reached.steps)) for who, path in found.clients] == [
        ("static/liftlock/root", 0),
        ("people/robin", 2),
    ]
    assert [(who, len(path.reached.steps)) for who, path in found.roles] == [
        ("hook-id:release/promote", 0),
        ("hook-id:generic/bridge", 1),
    ]
    assert not found.truncated


async def test_what_everybody_holds_everybody_reaches(there: EscalationWorld) -> None:
    await there.world.make_role("anonymous", "hooks:trigger-hook:release/promote")
    root = await there.world.caller()
    found = await there.paths.who(root, SECRET, (), NOW)
    assert [who for who, _ in found.clients] == ["static/liftlock/root", "people/eve", "people/robin"]
    nobody = await there.world.caller(None)
    assert names(await there.paths.path(nobody, Start(), SECRET, (), NOW)) == ["release/promote"]


async def test_a_client_that_is_taken_over_leads_on_but_never_one_of_the_configuration(
    there: EscalationWorld,
) -> None:
    taker = await there.world.make_client("people/taker", "auth:reset-access-token:*")
    caller = await there.world.caller(taker)
    assert names(await there.paths.path(caller, Start(), SECRET, (), NOW)) == [
        "people/robin",
        "generic/bridge",
        "release/promote",
    ]
    assert names(await there.paths.path(caller, Start(), "auth:create-role:x", (), NOW)) is None
    reached = await there.paths.reach(await there.world.caller(), Start(client_id="people/taker"), (), NOW)
    named = {place.steps[-1].place.name for place in reached.places if place.steps}
    assert named == {"people/robin", "people/eve", "generic/bridge", "generic/retrigger", "release/promote"}


async def test_limited_credentials_may_win_back_all_of_their_client(there: EscalationWorld) -> None:
    self_made = await there.world.make_client("people/self", "auth:reset-access-token:people/self", "x:y")
    limited = await there.world.caller(self_made, ["auth:reset-access-token:people/self"])
    assert names(await there.paths.path(limited, Start(), "x:y", (), NOW)) == ["people/self"]
    whole = await there.world.caller(self_made)
    assert len((await there.paths.reach(whole, Start(), (), NOW)).places) == 1


async def test_a_disabled_client_can_be_reached_but_reaches_nothing_itself(there: EscalationWorld) -> None:
    root = await there.world.caller()
    await there.world.clients.set_disabled(root, "people/robin", NOW, disabled=True)
    root = await there.world.caller()
    found = await there.paths.who(root, SECRET, (), NOW)
    assert [who for who, _ in found.clients] == ["static/liftlock/root"]
    start = Start(scopes=("auth:reset-access-token:people/robin",))
    assert names(await there.paths.path(root, start, SECRET, (), NOW)) == [
        "people/robin",
        "generic/bridge",
        "release/promote",
    ]


async def test_an_expired_client_is_not_among_those_who_reach_it(there: EscalationWorld) -> None:
    later = NOW + timedelta(days=2)
    root = await there.world.caller()
    assert [who for who, _ in (await there.paths.who(root, SECRET, (), later)).clients] == [
        "static/liftlock/root"
    ]


async def test_assumed_rights_to_push_count(there: EscalationWorld) -> None:
    root = await there.world.caller()
    pushes = (PushRight("host:push", "repo:app:branch:main"),)
    start, wanted = Start(scopes=("host:*",)), "queue:create-task:highest:build/linux"
    assert names(await there.paths.path(root, start, wanted, (), NOW)) is None
    assert names(await there.paths.path(root, start, wanted, pushes, NOW)) == ["repo:app:branch:main"]


async def test_reach_shows_places_and_scopes_together(there: EscalationWorld) -> None:
    root = await there.world.caller()
    found = await there.paths.reach(root, ROBIN, (), NOW)
    assert [len(place.steps) for place in found.places] == [0, 1, 1, 2]
    assert found.scopes == (
        "assume:anonymous",
        "assume:hook-id:generic/bridge",
        "assume:hook-id:generic/retrigger",
        "assume:hook-id:release/promote",
        "hooks:trigger-hook:generic/*",
        "hooks:trigger-hook:release/*",
        SECRET,
    )
    assert (found.hidden, found.truncated) == (0, False)


async def test_changes_of_roles_and_hooks_are_seen(there: EscalationWorld) -> None:
    root = await there.world.caller()
    start = Start(scopes=("hooks:trigger-hook:new/*",))
    assert names(await there.paths.path(root, start, "x:y", (), NOW)) is None
    await there.make_hook("new/hook")
    await there.world.make_role("hook-id:new/*", "x:<..>")
    root = await there.world.caller()
    soon = NOW + HOOKS_KNOWN_FOR
    assert names(await there.paths.path(root, start, "x:hook", (), soon)) == ["new/hook"]
    await there.world.roles.delete(root, "hook-id:new/*", soon)
    root = await there.world.caller()
    assert names(await there.paths.path(root, start, "x:hook", (), soon)) is None


async def test_searches_at_once_do_not_disturb_one_another(there: EscalationWorld) -> None:
    root = await there.world.caller()
    searches = [there.paths.path(root, ROBIN, SECRET, (), NOW) for _ in range(5)]
    lists = [there.paths.who(root, SECRET, (), NOW) for _ in range(3)]
    found, listed = await asyncio.gather(*searches), await asyncio.gather(*lists)
    assert [names(answer) for answer in found] == [["generic/bridge", "release/promote"]] * 5
    assert listed[0] == listed[1] == listed[2]


async def test_a_client_that_does_not_exist_is_told(there: EscalationWorld) -> None:
    with pytest.raises(NotFoundError, match="client people/nobody does not exist"):
        await there.paths.path(await there.world.caller(), Start(client_id="people/nobody"), SECRET, (), NOW)


async def test_answers_are_bounded_and_say_so(
    there: EscalationWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await there.world.caller()
    for limit, value, places, clients in (
        ("MAX_FOUND", 2, 2, 2),
        ("MAX_FOUND", 1, 1, 1),
        ("MAX_STEPS_SHOWN", 3, 3, 2),
        ("MAX_STEPS_SHOWN", 1, 2, 1),
        ("MAX_SCOPES_SHOWN", 3, 4, 2),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(escalation_paths, limit, value)
            reach = await there.paths.reach(root, ROBIN, (), NOW)
            who = await there.paths.who(root, SECRET, (), NOW)
        assert (len(reach.places), len(who.clients)) == (places, clients)
        assert len(reach.scopes) <= 7
        assert reach.truncated
        assert who.truncated == (len(who.clients) + len(who.roles) < 4)
