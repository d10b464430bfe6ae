"""What pages read of many pushes and tasks, on both databases."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from liftlock.adapters.sql import overview_store
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.overview_store import SqlOverviewStore
from liftlock.ports.overview_store import FoundPushes, RecentPushes
from liftlock.values.instants import to_ms
from pages_data import PLAN, Data, states_of
from task_builders import NOW

BOTH = RecentPushes(projects=("gadget", "widget"))


async def test_the_newest_pushes_of_all_named_projects_come_first(engine: Engine) -> None:
    data = Data(engine, NOW)
    await data.project("widget")
    await data.project("gadget", level=1)
    await data.project("secret")
    for minutes, name in ((3, "widget"), (2, "gadget"), (1, "widget"), (0, "secret")):
        await data.push(name, age=timedelta(minutes=minutes))
    store = SqlOverviewStore(engine)
    found = (await store.recent_pushes(BOTH)).pushes
    assert [(push.project, push.id) for push in found] == [("widget", 2), ("gadget", 1), ("widget", 1)]
    last = found[1]
    after = msgspec.structs.replace(BOTH, before=(to_ms(last.at), last.project, last.id))
    assert [(push.project, push.id) for push in (await store.recent_pushes(after)).pushes] == [("widget", 1)]
    assert await store.recent_pushes(RecentPushes(projects=())) == FoundPushes([])
    assert len((await store.recent_pushes(msgspec.structs.replace(BOTH, limit=2))).pushes) == 2


async def test_pushes_are_found_by_every_filter(engine: Engine) -> None:
    data = Data(engine, NOW)
    await data.project("widget")
    await data.project("gadget", level=1)
    await data.push("widget", owner="robin@example.org", message="Fix the *lock*", decision="failed")
    await data.push("gadget", owner="kim@example.org", message="Other")
    store = SqlOverviewStore(engine)

    async def names(**changes: object) -> list[str]:
        found = await store.recent_pushes(msgspec.structs.replace(BOTH, **changes))
        return sorted(push.project for push in found.pushes)

    assert await names(branch="main") == ["gadget", "widget"]
    assert await names(branch="try") == []
    assert await names(level=1) == ["gadget"]
    assert await names(decision="failed") == ["widget"]
    assert await names(owner="ROBIN") == ["widget"]
    assert await names(text="the *lock") == ["widget"]
    assert await names(text="0" * 39 + "2") == ["gadget"]
    assert await names(text="nowhere") == []


async def test_a_search_that_stops_says_where_and_goes_on_from_there(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_store, "_BATCH", 2)
    monkeypatch.setattr(overview_store, "_MAX_BATCHES", 2)
    data = Data(engine, NOW)
    await data.project("widget")
    for minutes in range(6, 0, -1):
        await data.push(
            "widget", age=timedelta(minutes=minutes), message="first" if minutes == 6 else "later"
        )
    store = SqlOverviewStore(engine)
    wanted = msgspec.structs.replace(BOTH, text="first")
    nothing = await store.recent_pushes(wanted)
    assert nothing.pushes == []
    assert nothing.stopped is not None
    assert nothing.stopped[1:] == ("widget", 3)
    found = await store.recent_pushes(msgspec.structs.replace(wanted, before=nothing.stopped))
    assert [push.id for push in found.pushes] == [1]
    assert found.stopped is None or found.stopped[2] == 1


async def test_groups_are_told_by_faces_and_states(engine: Engine) -> None:
    data = Data(engine, NOW)
    await data.project()
    group = await data.push()
    ids = await data.group(group, progress=1)
    store = SqlOverviewStore(engine)
    states = await store.states([group, "nothing"])
    assert list(states[group].values()) == states_of(PLAN, 1)
    assert states["nothing"] == {}
    faces = await store.faces(group, 0, 100)
    assert [face.task_id for face in faces] == ids
    assert [(face.kind, face.symbol, face.name) for face in faces[:2]] == [
        ("decision", "D", "Decision Task"),
        ("lint", "ruff", "lint-python"),
    ]
    assert faces[11].dependencies == (ids[10],)
    assert faces[11].crossing == ((ids[10], ("public/widget-4.12-py3-none-any.whl",)),)
    assert faces[11].queue == "local/privileged"
    assert [face.number for face in await store.faces(group, faces[0].number, 2)] == [
        faces[1].number,
        faces[2].number,
    ]
    standings = await store.standings([ids[3], ids[0], "nothing"])
    assert sorted(standings) == sorted([ids[0], ids[3]])
    assert await store.standings([]) == {}
    first = standings[ids[0]]
    assert (first.state, first.run_id, first.started_ms) == ("completed", 0, to_ms(NOW) - 880_000)


async def test_changes_name_the_group_that_they_are_about(engine: Engine) -> None:
    data = Data(engine, NOW)
    store = SqlOverviewStore(engine)
    assert await store.last_change() == 0
    await data.project()
    group = await data.push()
    await data.group(group, PLAN[:1])
    changes = await store.changes(0, 100)
    assert [(change.topic, change.group) for change in changes if change.key == group] == [
        ("task-defined", group),
        ("task-pending", group),
    ]
    assert await store.last_change() == changes[-1].id
    assert await store.changes(changes[-1].id, 100) == []
    assert len(await store.changes(0, 1)) == 1
