"""Nobody gets, gives or keeps more than he has."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from access_world import NOW, ROOT, World, given
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.credentials.certificates import Credentials, make_temporary_credentials
from liftlock.errors import (
    AuthenticationFailedError,
    DependencyCycleError,
    InputInvalidError,
    RefusedError,
    StaleSnapshotError,
)

SEED = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH"


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> World:
    return World(engine, tmp_path)


def temporary(
    issuer: Credentials, *scopes: str, name: str | None = None, start: timedelta = timedelta()
) -> Credentials:
    return make_temporary_credentials(
        issuer,
        start=NOW + start,
        expiry=NOW + start + timedelta(hours=1),
        scopes=scopes,
        seed=SEED,
        name=name,
    )


async def test_temporary_credentials_can_not_exceed_their_issuer(world: World) -> None:
    alice = await world.make_client("people/alice", "x:1")
    assert (await world.caller(temporary(alice, "x:1"))).satisfies("x:1")
    for scopes in (["x:*"], ["*"], ["x:1", "x:2"], ["assume:*"]):
        with pytest.raises(AuthenticationFailedError, match="the issuer does not have"):
            await world.caller(temporary(alice, *scopes))


async def test_temporary_credentials_can_not_issue_more(world: World) -> None:
    alice = await world.make_client("people/alice", "x", "auth:create-client:*")
    for first in (
        temporary(alice, "x", "auth:create-client:*"),
        temporary(alice, "x", name="people/alice/t"),
    ):
        second = temporary(Credentials(first.client_id, first.access_token), "x", name="people/other")
        with pytest.raises(AuthenticationFailedError):
            await world.caller(second)


async def test_a_certificate_of_the_past_or_the_future_is_refused(world: World) -> None:
    alice = await world.make_client("people/alice", "x")
    with pytest.raises(AuthenticationFailedError, match="have expired"):
        await world.caller(temporary(alice, "x", start=timedelta(hours=-2)))
    with pytest.raises(AuthenticationFailedError, match="lies in the future"):
        await world.caller(temporary(alice, "x", start=timedelta(hours=2)))


async def test_temporary_credentials_end_with_their_issuer(world: World) -> None:
    alice = await world.make_client("people/alice", "x")
    made = temporary(alice, "x")
    await world.caller(made)
    await world.clients.set_disabled(await world.caller(), "people/alice", world.now, disabled=True)
    with pytest.raises(AuthenticationFailedError, match="is disabled"):
        await world.caller(made)
    await world.clients.set_disabled(await world.caller(), "people/alice", world.now, disabled=False)
    await world.clients.reset_token(await world.caller(), "people/alice", world.now)
    with pytest.raises(AuthenticationFailedError, match=r"certificate\.signature"):
        await world.caller(made)


async def test_authorized_scopes_can_not_widen(world: World) -> None:
    await world.make_role("dev", "x:1")
    alice = await world.make_client("people/alice", "assume:dev")
    assert list((await world.caller(alice, ["x:1"])).scopes) == ["assume:anonymous", "x:1"]
    assert list((await world.caller(alice, [])).scopes) == ["assume:anonymous"]
    for asked in (["x:*"], ["x:1", "x:2"], ["assume:*"], ["*"], ["x:1**"]):
        with pytest.raises(AuthenticationFailedError, match=r"ext\.authorizedScopes"):
            await world.caller(alice, asked)


async def test_a_colon_star_does_not_match_all_roles(world: World) -> None:
    await world.make_role("admin", "secret")
    eve = await world.make_client("people/eve", ":*", "assume", "assume:", "x:*")
    assert not (await world.caller(eve)).satisfies("secret")


@pytest.mark.parametrize("scope", ["x**", "**", "assume:**"])
async def test_two_stars_at_the_end_are_never_stored(world: World, scope: str) -> None:
    with pytest.raises(InputInvalidError, match=r"must not end in `\*\*`"):
        await world.clients.create(await world.caller(), "people/eve", given(scope), world.now)
    with pytest.raises(InputInvalidError, match=r"must not end in `\*\*`"):
        await world.roles.create(await world.caller(), "dev", "", (scope,), world.now)
    await world.make_client("people/eve")
    with pytest.raises(InputInvalidError, match=r"must not end in `\*\*`"):
        await world.clients.update(await world.caller(), "people/eve", given(scope), world.now)
    await world.make_role("dev")
    with pytest.raises(InputInvalidError, match=r"must not end in `\*\*`"):
        await world.roles.update(await world.caller(), "dev", "", (scope,), world.now)


async def test_a_role_cycle_is_refused_and_changes_nothing(world: World) -> None:
    await world.make_role("a:*", "assume:b:<..>")
    with pytest.raises(DependencyCycleError, match=r"a:\* → b:\* → a:\*"):
        await world.make_role("b:*", "assume:a:<..>")
    await world.make_role("b:*", "x:<..>")
    with pytest.raises(DependencyCycleError):
        await world.roles.update(await world.caller(), "b:*", "", ("assume:a:<..>",), world.now)
    assert (await world.caller(await world.make_client("c", "assume:a:1"))).satisfies("x:1")


async def test_two_roles_that_form_a_cycle_only_together_are_not_both_made(world: World) -> None:
    first, second = await world.caller(), await world.caller()
    await world.roles.create(first, "a:*", "", ("assume:b:<..>",), world.now)
    with pytest.raises((StaleSnapshotError, DependencyCycleError)):
        await world.roles.create(second, "b:*", "", ("assume:a:<..>",), world.now)
    assert await world.store.role("b:*") is None


async def test_nobody_makes_a_client_with_scopes_he_lacks(world: World) -> None:
    alice = await world.make_client("people/alice", "auth:create-client:people/alice/*", "x:1")
    await world.clients.create(await world.caller(alice), "people/alice/a", given("x:1"), world.now)
    with pytest.raises(RefusedError, match=r"x:2"):
        await world.clients.create(
            await world.caller(alice), "people/alice/b", given("x:1", "x:2"), world.now
        )
    with pytest.raises(RefusedError, match="auth:create-client:people/bob"):
        await world.clients.create(await world.caller(alice), "people/bob", given("x:1"), world.now)


async def test_nobody_adds_scopes_he_lacks_to_a_client(world: World) -> None:
    alice = await world.make_client("people/alice", "auth:update-client:people/*", "x:1")
    await world.make_client("people/bob", "y:*")
    await world.clients.update(await world.caller(alice), "people/bob", given("y:*", "x:1"), world.now)
    for scopes in (["y:*", "y:1", "x:1"], ["x:2"], ["*"]):
        with pytest.raises(RefusedError):
            await world.clients.update(await world.caller(alice), "people/bob", given(*scopes), world.now)


async def test_nobody_puts_into_a_role_what_he_lacks(world: World) -> None:
    alice = await world.make_client(
        "people/alice", "auth:update-role:*", "auth:create-role:*", "x:1", "p:1:<..>"
    )
    await world.make_role("dev", "y:*")
    await world.roles.update(await world.caller(alice), "dev", "", ("y:1", "x:1"), world.now)
    with pytest.raises(RefusedError, match="x:2"):
        await world.roles.update(await world.caller(alice), "dev", "", ("y:1", "x:2"), world.now)
    with pytest.raises(RefusedError, match=r"y:\*"):
        await world.roles.update(await world.caller(alice), "dev", "", ("y:*", "x:1"), world.now)
    with pytest.raises(RefusedError, match=r"p:1:\*"):
        await world.roles.create(await world.caller(alice), "own:*", "", ("p:1:<..>",), world.now)


async def test_a_scope_that_spells_the_parameter_does_not_give_what_it_stands_for(world: World) -> None:
    """Holding the literal `x:<..>` must not be enough to hand out `x:` and anything."""
    eve = await world.make_client("people/eve", "auth:create-role:eve:*", "x:<..>", "assume:eve:*")
    with pytest.raises(RefusedError, match=r"x:\*"):
        await world.roles.create(await world.caller(eve), "eve:*", "", ("x:<..>",), world.now)
    await world.roles.create(await world.caller(eve), "eve:literal", "", ("x:<..>",), world.now)
    assert not (await world.caller(eve)).satisfies("x:secret")


@pytest.mark.parametrize("client_id", [ROOT.client_id, "static/other"])
async def test_nobody_changes_a_client_of_the_configuration(world: World, client_id: str) -> None:
    caller = await world.caller()
    for change in (
        world.clients.create(caller, client_id, given("*"), world.now),
        world.clients.update(caller, client_id, given(), world.now),
        world.clients.set_disabled(caller, client_id, world.now, disabled=True),
        world.clients.reset_token(caller, client_id, world.now),
        world.clients.delete(caller, client_id, world.now),
    ):
        with pytest.raises(InputInvalidError, match="belong to the configuration"):
            await change
    assert await world.store.client(client_id) is None


async def test_what_was_decided_before_a_disabling_is_not_done_after_it(world: World) -> None:
    alice = await world.make_client("people/alice", "auth:create-role:*", "x")
    decided = await world.caller(alice)
    await world.clients.set_disabled(await world.caller(), "people/alice", world.now, disabled=True)
    with pytest.raises(StaleSnapshotError):
        await world.roles.create(decided, "late", "", ("x",), world.now)
    with pytest.raises(AuthenticationFailedError, match="is disabled"):
        await world.caller(alice)


async def test_another_control_planes_disabling_stops_writes_at_once_and_reads_within_a_second(
    engine: Engine, tmp_path: Path
) -> None:
    first, second = World(engine, tmp_path), World(engine, tmp_path)
    alice = await first.make_client("people/alice", "auth:create-role:*", "x")
    await second.caller(alice)
    await first.clients.set_disabled(await first.caller(), "people/alice", first.now, disabled=True)
    decided = await second.caller(alice)
    with pytest.raises(StaleSnapshotError):
        await second.roles.create(decided, "late", "", ("x",), second.now)
    second.now += timedelta(seconds=1)
    with pytest.raises(AuthenticationFailedError, match="is disabled"):
        await second.caller(alice)
