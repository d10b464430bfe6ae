"""Scopes that are being taken away satisfy still, and whoever would be refused without them is told, each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from access_world import NOW, World
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.retiring_store import SqlRetiringStore
from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import InputInvalidError, NotFoundError, RefusedError
from liftlock.ports.retiring import RetiringUse
from liftlock.services.authorize import Authorizer
from liftlock.services.retiring import Retiring, WatchRetiring


class Marks(World):
    """Access in which scopes can be marked."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.marks = SqlRetiringStore(self.engine)
        self.watch = WatchRetiring(self.marks, self.access)
        self.authorizer = Authorizer(self.access, self.watch)
        self.retiring = Retiring(self.marks, self.store)

    async def mark(self, role_id: str, *scopes: str) -> None:
        """Mark the role's scopes as root, and let it take effect."""
        await self.retiring.put(await self.caller(), role_id, scopes, self.now)
        await self.watch.step(self.now)

    async def told(self, who: Credentials, *needs: str) -> list[str]:
        """Return what a request that needs all of these is told."""
        caller = await self.caller(who)
        caller.require(list(needs))
        return list(caller.retiring)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> Marks:
    made = Marks(engine, tmp_path)
    await made.make_role("dev", "a:*", "b:x")
    return made


async def test_what_only_a_marked_scope_allows_is_allowed_and_told(world: Marks) -> None:
    robin = await world.make_client("people/robin", "assume:dev", "c")
    assert await world.told(robin, "a:1", "c") == []
    await world.mark("dev", "a:*")
    assert await world.told(robin, "a:1", "b:x", "c") == ["a:1"]
    assert await world.told(robin, "a:1") == ["a:1"]
    await world.watch.step(world.now)
    [use] = await world.retiring.uses(await world.caller())
    assert use == RetiringUse("people/robin", "a:1", 2, NOW)
    [entry] = await world.store.history("client/people/robin", before=2**60, limit=1)
    assert (entry.action, entry.details) == ("auth.retiringScopeUsed", {"scope": "a:1", "times": 2})


async def test_what_something_else_allows_as_well_is_not_told(world: Marks) -> None:
    robin = await world.make_client("people/robin", "assume:dev", "a:1")
    await world.mark("dev", "a:*")
    assert await world.told(robin, "a:1") == []
    assert await world.told(robin, "a:2") == ["a:2"]
    await world.make_role("other", "a:2")
    await world.watch.step(world.now)
    morgan = await world.make_client("people/morgan", "assume:dev", "assume:other")
    assert await world.told(morgan, "a:2") == []


async def test_a_marked_role_in_a_role_is_followed(world: Marks) -> None:
    await world.make_role("lead", "assume:dev", "d")
    robin = await world.make_client("people/robin", "assume:lead")
    await world.mark("lead", "assume:dev")
    assert await world.told(robin, "b:x", "d") == ["b:x"]


async def test_without_marks_nobody_is_told_and_taking_them_back_ends_it(world: Marks) -> None:
    robin = await world.make_client("people/robin", "assume:dev")
    await world.mark("dev", "a:*")
    assert await world.told(robin, "a:1") == ["a:1"]
    await world.mark("dev")
    assert await world.told(robin, "a:1") == []
    assert await world.retiring.marked(await world.caller()) == {}


async def test_only_scopes_of_a_role_that_one_may_change_are_marked(world: Marks) -> None:
    robin = await world.make_client("people/robin", "auth:update-role:other")
    with pytest.raises(RefusedError, match="auth:update-role:dev"):
        await world.retiring.put(await world.caller(robin), "dev", ("a:*",), NOW)
    with pytest.raises(InputInvalidError, match="role dev does not have the scope 'a:1'"):
        await world.retiring.put(await world.caller(), "dev", ("a:1",), NOW)
    with pytest.raises(NotFoundError, match="role gone does not exist"):
        await world.retiring.put(await world.caller(), "gone", ("a:1",), NOW)
    with pytest.raises(RefusedError, match="auth:list-clients"):
        await world.retiring.uses(
            await world.caller(await world.make_client("people/nobody", "auth:list-roles"))
        )
