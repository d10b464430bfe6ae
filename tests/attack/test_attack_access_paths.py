"""Escalation paths tell nobody what others have."""

from __future__ import annotations

from pathlib import Path

import pytest

from access_world import NOW
from escalation_world import SECRET, EscalationWorld
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.scopes.escalation import PushRight
from liftlock.errors import RefusedError
from liftlock.services.escalation_paths import SEE_ALL, Start
from liftlock.web.api_access_paths import HIDDEN, path_wire, steps_wire


@pytest.fixture
async def there(engine: Engine, tmp_path: Path) -> EscalationWorld:
    return await EscalationWorld.make(engine, tmp_path)


async def test_who_may_not_list_clients_learns_nothing_about_others(there: EscalationWorld) -> None:
    eve = await there.world.caller(there.eve)
    for start in (
        Start(client_id="people/robin"),
        Start(client_id="people/nobody"),
        Start(role_id="hook-id:generic/bridge"),
        Start(scopes=("assume:*",)),
        Start(scopes=()),
    ):
        with pytest.raises(RefusedError, match="auth:list-clients") as path:
            await there.paths.path(eve, start, SECRET, (), NOW)
        with pytest.raises(RefusedError) as reach:
            await there.paths.reach(eve, start, (), NOW)
        assert path.value.message == reach.value.message
        assert "robin" not in path.value.message
    with pytest.raises(RefusedError, match="auth:list-clients"):
        await there.paths.who(eve, SECRET, (), NOW)
    own = await there.paths.reach(eve, Start(), (), NOW)
    assert own.scopes == ("assume:anonymous",)
    assert len(own.places) == 1


@pytest.mark.parametrize("missing", SEE_ALL)
async def test_every_one_of_the_scopes_is_needed_to_ask_about_others(
    there: EscalationWorld, missing: str
) -> None:
    almost = await there.world.make_client("people/almost", *(scope for scope in SEE_ALL if scope != missing))
    caller = await there.world.caller(almost)
    with pytest.raises(RefusedError) as refused:
        await there.paths.who(caller, SECRET, (), NOW)
    assert missing in refused.value.message
    with pytest.raises(RefusedError):
        await there.paths.path(caller, Start(client_id="people/robin"), SECRET, (), NOW)
    whole = await there.world.caller(await there.world.make_client("people/whole", *SEE_ALL))
    assert (await there.paths.who(whole, SECRET, (), NOW)).clients


async def test_authorized_scopes_take_the_sight_away(there: EscalationWorld) -> None:
    limited = await there.world.caller(authorized=["auth:list-clients"])
    with pytest.raises(RefusedError):
        await there.paths.who(limited, SECRET, (), NOW)


async def test_an_assumed_right_to_push_does_not_tell_what_a_role_gives(there: EscalationWorld) -> None:
    eve = await there.world.caller(there.eve)
    pushes = (PushRight("assume:anonymous", "hook-id:release/promote"),)
    with pytest.raises(RefusedError):
        await there.paths.path(eve, Start(), SECRET, pushes, NOW)
    with pytest.raises(RefusedError):
        await there.paths.reach(eve, Start(), pushes, NOW)


async def test_ones_own_path_hides_hooks_and_scopes_that_one_may_not_see(there: EscalationWorld) -> None:
    robin = await there.world.caller(there.robin)
    answer = await there.paths.path(robin, Start(), SECRET, (), NOW)
    assert answer.path is not None
    assert path_wire(answer.path, answer.sight) == {
        "given": HIDDEN["scope"],
        "steps": [
            {
                "means": "trigger",
                "kind": "hook",
                "name": "generic/bridge",
                "needed": "hooks:trigger-hook:generic/bridge",
                "held": "hooks:trigger-hook:generic/*",
            },
            {
                "means": "trigger",
                "kind": "hook",
                "name": HIDDEN["hook"],
                "needed": HIDDEN["scope"],
                "held": HIDDEN["scope"],
            },
        ],
    }
    reached = await there.paths.reach(robin, Start(), (), NOW)
    assert reached.scopes == ("assume:anonymous", "hooks:trigger-hook:generic/*")
    assert reached.hidden == 3


async def test_ones_own_path_hides_clients_that_one_may_not_see(there: EscalationWorld) -> None:
    taker = await there.world.make_client("people/taker", "auth:reset-access-token:*", "auth:expand-scopes")
    caller = await there.world.caller(taker)
    reached = await there.paths.reach(caller, Start(), (), NOW)
    shown = str([steps_wire(place, reached.sight) for place in reached.places])
    for secret in ("robin", "eve", "generic", "promote"):
        assert secret not in shown
    assert reached.scopes == ("assume:anonymous", "auth:expand-scopes", "auth:reset-access-token:*")
