"""Clients and roles: what a change leaves behind, and what is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from access_world import NOW, ROOT, World, given
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.scopes.satisfaction import AllOf, AnyOf
from liftlock.errors import (
    ConflictError,
    InputInvalidError,
    NotFoundError,
    RefusedError,
    RequestArgumentsError,
)
from liftlock.services.authorize import Caller
from liftlock.services.clients import ClientInput
from liftlock.services.expire_clients import ExpireClients
from liftlock.services.explain_access import Holder


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> World:
    return World(engine, tmp_path)


async def last_details(world: World, subject: str) -> tuple[str, dict[str, object]]:
    [entry] = await world.store.history(subject, before=2**60, limit=1)
    assert entry.actor == ROOT.client_id
    return entry.action, entry.details


async def test_every_change_of_a_client_is_audited_with_the_difference(world: World) -> None:
    await world.make_client("a", "x", "y")
    action, details = await last_details(world, "client/a")
    assert action == "auth.createClient"
    assert details["after"] == {
        "description": "",
        "expires": "2026-03-02T12:00:00.000Z",
        "deleteOnExpiration": False,
        "disabled": False,
        "scopes": ["x", "y"],
    }
    await world.clients.update(await world.caller(), "a", given("x", "z", description="D"), world.now)
    assert await last_details(world, "client/a") == (
        "auth.updateClient",
        {"changed": {"description": ["", "D"]}, "scopesAdded": ["z"], "scopesRemoved": ["y"]},
    )
    await world.clients.reset_token(await world.caller(), "a", world.now)
    assert await last_details(world, "client/a") == ("auth.resetAccessToken", {"rotated": True})
    await world.clients.delete(await world.caller(), "a", world.now)
    action, details = await last_details(world, "client/a")
    assert action == "auth.deleteClient"
    assert isinstance(details["before"], dict)


async def test_every_change_of_a_role_is_audited_and_kept_as_a_version(world: World) -> None:
    await world.make_role("dev", "x", "y")
    await world.roles.update(await world.caller(), "dev", "D", ("y", "z"), world.now)
    assert await last_details(world, "role/dev") == (
        "auth.updateRole",
        {"scopesAdded": ["z"], "scopesRemoved": ["x"], "description": ["", "D"]},
    )
    await world.roles.delete(await world.caller(), "dev", world.now)
    assert await last_details(world, "role/dev") == ("auth.deleteRole", {"scopesRemoved": ["y", "z"]})
    versions = await world.store.role_versions("dev")
    assert [(each.actor, each.scopes) for each in versions] == [
        (ROOT.client_id, ("x", "y")),
        (ROOT.client_id, ("y", "z")),
        (ROOT.client_id, None),
    ]


async def test_ones_own_change_is_in_force_at_once(world: World) -> None:
    alice = await world.make_client("people/alice", "assume:dev")
    assert not (await world.caller(alice)).satisfies("x")
    await world.make_role("dev", "x")
    assert (await world.caller(alice)).satisfies("x")
    await world.roles.update(await world.caller(), "dev", "", (), world.now)
    assert not (await world.caller(alice)).satisfies("x")


async def test_disabling_twice_changes_once(world: World) -> None:
    await world.make_client("a")
    later = world.now + timedelta(minutes=1)
    first = await world.clients.set_disabled(await world.caller(), "a", later, disabled=True)
    second = await world.clients.set_disabled(
        await world.caller(), "a", later + timedelta(minutes=1), disabled=True
    )
    assert first.record.disabled
    assert second.record.last_modified == later
    assert len(await world.store.history("client/a", before=2**60, limit=10)) == 2


async def test_what_does_not_exist_can_not_be_changed(world: World) -> None:
    caller = await world.caller()
    for change in (
        world.clients.update(caller, "a", given(), world.now),
        world.clients.set_disabled(caller, "a", world.now, disabled=False),
        world.clients.reset_token(caller, "a", world.now),
        world.clients.get(caller, "a", world.now),
        world.roles.update(caller, "r", "", (), world.now),
        world.roles.get(caller, "r", world.now),
    ):
        with pytest.raises(NotFoundError, match="does not exist"):
            await change


async def test_ids_are_of_their_form(world: World) -> None:
    caller = await world.caller()
    for change in (
        world.clients.create(caller, "a b", given(), world.now),
        world.clients.get(caller, "", world.now),
        world.roles.create(caller, "é", "", (), world.now),
        world.roles.delete(caller, "", world.now),
    ):
        with pytest.raises(RequestArgumentsError, match="expected"):
            await change


async def test_a_role_made_twice_is_one_role_and_a_different_one_is_a_conflict(world: World) -> None:
    first = await world.roles.create(await world.caller(), "dev", "d", ("y", "x"), world.now)
    again = await world.roles.create(
        await world.caller(), "dev", "d", ("x", "y"), world.now + timedelta(minutes=1)
    )
    assert again == first
    assert first.record.scopes == ("x", "y")
    with pytest.raises(ConflictError, match="update it instead"):
        await world.roles.create(await world.caller(), "dev", "other", ("x", "y"), world.now)


async def test_a_role_keeps_scopes_that_another_of_them_satisfies(world: World) -> None:
    """Tools that compare what they wrote with what is there must find it."""
    view = await world.roles.create(await world.caller(), "dev", "", ("xb", "x", "x*"), world.now)
    assert view.record.scopes == ("x*", "x", "xb")
    assert list(view.expanded) == ["assume:dev", "x*"]


@pytest.mark.parametrize(
    ("call", "scope"),
    [
        ("listing clients", "auth:list-clients"),
        ("a client", "auth:get-client:a"),
        ("listing roles", "auth:list-roles"),
        ("a role", "auth:get-role:r"),
        ("expanding", "auth:expand-scopes"),
        ("history", "auth:audit-history:client"),
        ("a client's history", "auth:client-audit-history:a"),
        ("disabling", "auth:disable-client:a"),
        ("enabling", "auth:enable-client:a"),
        ("resetting", "auth:reset-access-token:a"),
        ("deleting a client", "auth:delete-client:a"),
        ("deleting a role", "auth:delete-role:r"),
    ],
)
async def test_each_operation_needs_its_scope_and_no_other(world: World, call: str, scope: str) -> None:
    await world.make_client("a")
    await world.make_role("r")
    others = ["auth:nothing", scope[:-1], f"{scope}x"]
    without, having = await world.make_client("w", *others), await world.make_client("h", scope)
    with pytest.raises(RefusedError, match=scope):
        await operation(world, await world.caller(without), call)
    await operation(world, await world.caller(having), call)


def operation(world: World, who: Caller, call: str) -> Awaitable[object]:
    now = world.now
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "listing clients": lambda: world.clients.list(who, prefix="", after="", limit=1, now=now),
        "a client": lambda: world.clients.get(who, "a", now),
        "listing roles": lambda: world.roles.list(who, after="", limit=1, now=now),
        "a role": lambda: world.roles.get(who, "r", now),
        "expanding": lambda: world.inspect.expand(who, ["a"], now),
        "history": lambda: world.inspect.history(who, "client", "a", before=9, limit=1),
        "a client's history": lambda: world.inspect.client_history(who, "a", before=9, limit=1),
        "disabling": lambda: world.clients.set_disabled(who, "a", now, disabled=True),
        "enabling": lambda: world.clients.set_disabled(who, "a", now, disabled=False),
        "resetting": lambda: world.clients.reset_token(who, "a", now),
        "deleting a client": lambda: world.clients.delete(who, "a", now),
        "deleting a role": lambda: world.roles.delete(who, "r", now),
    }
    return calls[call]()


async def test_expired_clients_are_deleted_if_they_are_to_be(world: World) -> None:
    for name, delete in (("keep", False), ("drop1", True), ("drop2", True)):
        made = ClientInput(
            description="", expires=NOW + timedelta(hours=1), delete_on_expiration=delete, scopes=()
        )
        await world.clients.create(await world.caller(), name, made, world.now)
    later = NOW + timedelta(hours=1)
    expire = ExpireClients(world.clients, world.authorizer)
    assert await expire(later - timedelta(milliseconds=1)) == 0
    assert await expire(later) == 2
    assert await expire(later) == 0
    left = await world.store.list_clients(prefix="", after="", limit=10)
    assert [record.client_id for record in left] == ["keep"]


async def test_a14_an_explanation_names_who_could_grant_what_is_missing(world: World) -> None:
    await world.make_role("dev", "x")
    await world.make_client("people/alice", "assume:dev")
    await world.make_client("admins/roles", "auth:update-role:dev", "ship:*")
    await world.make_client("admins/unable", "ship:*")
    await world.make_client("admins/poor", "auth:update-role:dev")
    explanation = await world.explain(await world.caller(), "ship:now", world.now, client_id="people/alice")
    assert explanation.holders == {
        "ship:now": (
            Holder("admins/roles", "auth:update-role:dev"),
            Holder(ROOT.client_id, "auth:update-client:people/alice"),
        )
    }


async def test_a_need_of_more_than_fifty_scopes_is_not_explained(world: World) -> None:
    caller = await world.caller()
    need = AllOf(*(f"x:{n}" for n in range(49)), AnyOf("y"))
    assert (await world.explain(caller, need, world.now)).tree.satisfied
    with pytest.raises(InputInvalidError, match="more than 50 scopes"):
        await world.explain(caller, AllOf(need, "z"), world.now)
