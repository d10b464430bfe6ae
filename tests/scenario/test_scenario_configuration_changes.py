"""Many changes of roles, clients and hooks in one request: decided one by one, made together or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from access_world import World, given
from fakes.counted_entropy import CountedEntropy
from hook_builders import hook_body
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import (
    ConflictError,
    DependencyCycleError,
    InputInvalidError,
    NotFoundError,
    RefusedError,
    ReplayedRequestError,
)
from liftlock.services.apply_changes import ApplyChanges, Asked, RoleInput
from liftlock.services.live_resources import LiveResources


class Changes(World):
    """Access, with hooks and what changes both together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        entropy = CountedEntropy()
        sealer = KeyFileSealer.open(self.directory / "hook-keys.json", entropy)
        self.hooks = SqlHookStore(self.engine)
        self.changes = ApplyChanges(self.store, self.hooks, self.access, sealer, entropy)
        self.live = LiveResources(self.store, self.hooks)

    async def make(self, *asked: Asked, who: Credentials | None = None) -> dict[str, str]:
        """Ask for the changes, as root if nobody else is named."""
        caller = await (self.caller() if who is None else self.caller(who))
        return await self.changes(caller, asked, self.now)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> Changes:
    return Changes(engine, tmp_path)


def put(role_id: str, *scopes: str, create: bool = True) -> Asked:
    return Asked("Role", role_id, create, RoleInput("", scopes))


def hook(name: str, *, create: bool = True, **body: Any) -> Asked:
    return Asked("Hook", name, create, hook_body(**body))


async def test_roles_clients_and_hooks_are_made_together_and_the_new_tokens_are_told(world: Changes) -> None:
    tokens = await world.make(
        put("a", "x"),
        put("b", "assume:a"),
        Asked("Client", "people/new", True, given("assume:b")),
        hook("g/h"),
    )
    assert set(tokens) == {"people/new"}
    caller = await world.caller(Credentials("people/new", tokens["people/new"]))
    assert caller.satisfies("x")
    assert await world.hooks.names() == ["g/h"]


async def test_each_change_has_the_audit_record_and_the_version_that_it_has_alone(world: Changes) -> None:
    before = (await world.caller()).access_version
    await world.make(put("a", "x"), put("b", "y"))
    after = (await world.caller()).access_version
    assert after == before + 2
    for role_id, scope in (("a", "x"), ("b", "y")):
        [entry] = await world.store.history(f"role/{role_id}", before=2**60, limit=9)
        assert (entry.action, entry.details["scopesAdded"]) == ("auth.createRole", [scope])
    await world.make(put("a", "z", create=False), Asked("Role", "b", False, None))
    [changed, _] = await world.store.history("role/a", before=2**60, limit=9)
    assert (changed.action, changed.details) == (
        "auth.updateRole",
        {"scopesAdded": ["z"], "scopesRemoved": ["x"]},
    )
    assert [each.scopes for each in await world.store.role_versions("b")] == [("y",), None]


async def test_if_one_is_refused_none_is_made_and_the_refusal_names_it(world: Changes) -> None:
    small = await world.make_client("small", "auth:create-role:*", "x")
    with pytest.raises(RefusedError, match=r"^Role=b: Client small does not have"):
        await world.make(put("a", "x"), put("b", "y"), who=small)
    with pytest.raises(NotFoundError, match=r"^Role=b: role b does not exist"):
        await world.make(put("a", "x"), put("b", "y", create=False))
    with pytest.raises(InputInvalidError, match=r"^Hook=g/h: "):
        await world.make(put("a", "x"), hook("g/h", schedule=["never"]))
    assert await world.store.role("a") is None
    assert await world.hooks.names() == []


async def test_what_a_change_gives_does_not_count_for_the_next_one(world: Changes) -> None:
    small = await world.make_client("small", "auth:create-role:*", "auth:update-role:*", "assume:mine", "x")
    await world.make_role("mine")
    with pytest.raises(RefusedError, match=r"^Role=other: "):
        await world.make(put("mine", "x", create=False), put("other", "y"), who=small)
    with pytest.raises(RefusedError, match=r"^Role=b: "):
        await world.make(put("a", "x"), put("b", "assume:c"), put("c", "x"), who=small)


async def test_the_same_resource_twice_is_refused(world: Changes) -> None:
    with pytest.raises(InputInvalidError, match="changes: the same resource is named more than once"):
        await world.make(put("a", "x"), put("a", "y", create=False))


async def test_roles_that_only_together_make_a_cycle_are_refused_together(world: Changes) -> None:
    one, other = put("a:*", "assume:b:<..>x"), put("b:*", "assume:a:<..>x")
    with pytest.raises(DependencyCycleError):
        await world.make(one, other)
    await world.make(one)
    await world.make(Asked("Role", "a:*", False, None), other)
    assert await world.store.role("b:*") is not None


async def test_asking_again_changes_nothing_and_a_role_that_is_another_is_a_conflict(world: Changes) -> None:
    await world.make(put("a", "x"), hook("g/h"))
    version = (await world.caller()).access_version
    await world.make(put("a", "x"), hook("g/h"))
    assert (await world.caller()).access_version == version
    with pytest.raises(
        ConflictError, match=r"^Role=a: role a exists with another description or other scopes"
    ):
        await world.make(put("a", "y"))


async def test_a_replayed_request_changes_nothing(world: Changes) -> None:
    caller = await world.caller()
    await world.changes(caller, [put("a", "x")], world.now)
    again = msgspec.structs.replace(await world.caller(), nonce=caller.nonce)
    with pytest.raises(ReplayedRequestError):
        await world.changes(again, [put("b", "x")], world.now)
    assert await world.store.role("b") is None


async def test_hooks_are_changed_and_deleted_and_managed_ones_are_not(world: Changes) -> None:
    await world.make(hook("g/h"), hook("g/i"))
    changed = hook_body(metadata={"name": "Other", "description": "", "owner": "o@example.org"})
    await world.make(Asked("Hook", "g/h", False, changed), Asked("Hook", "g/i", False, None))
    assert await world.hooks.names() == ["g/h"]
    found = await world.hooks.hook("g", "h")
    assert found is not None
    assert found.document["metadata"]["name"] == "Other"


async def test_all_of_a_kind_is_read_as_stored_by_whoever_may_list_it(world: Changes) -> None:
    await world.make(put("a", "assume:b"), put("b", "x"), hook("g/h"))
    await world.make_client("small", "auth:list-roles")
    caller = await world.caller()
    assert await world.live(caller, "Role") == {
        "a": {"description": "", "scopes": ("assume:b",)},
        "b": {"description": "", "scopes": ("x",)},
    }
    assert set(await world.live(caller, "Client")) == {"small"}
    assert set(await world.live(caller, "Hook")) == {"g/h"}
    nobody = await world.caller(await world.make_client("nobody"))
    for kind in ("Role", "Client", "Hook"):
        with pytest.raises(RefusedError):
            await world.live(nobody, kind)  # type: ignore[arg-type] # one of the three
