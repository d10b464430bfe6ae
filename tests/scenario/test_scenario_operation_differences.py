"""What people see before they approve: each file against the last release and against the source tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from distribution_builders import SDIST_NAME, sdist
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import ConflictError, NotFoundError, RefusedError
from liftlock.ports.envelope import Envelope
from liftlock.ports.operation_store import Move, OperationRecord
from operation_desk_world import Desk

CONTRACT = {"files": [{"names": "dist/*.tar.gz", "least": 1, "type": "gzip"}, {"names": "notes.txt"}]}
NAME = f"dist/{SDIST_NAME}"


@pytest.fixture
async def desk(engine: Engine, tmp_path: Path) -> Desk:
    made = await Desk.make(engine, tmp_path, contract=CONTRACT)
    made.tree.files = {"a.py": b"x = 1\n", "PKG-INFO": b""}
    return made


async def released(desk: Desk, members: dict[str, bytes], **more: bytes) -> OperationRecord:
    """Return an operation that waits, with an sdist of these members."""
    record = await desk.ask()
    content = sdist(members={f"gadget-1.0/{path}": data for path, data in members.items()})
    files = {f"artifacts/{NAME}": content}
    await desk.build(record, files | {f"artifacts/{name}.txt": data for name, data in more.items()})
    await desk.advance.step()
    found = await desk.found(record)
    assert found.state == "waiting", found.why
    return found


async def performed(desk: Desk, record: OperationRecord) -> None:
    for before, after in (("waiting", "scheduled"), ("scheduled", "done")):
        move = Move(operation_id=record.operation_id, before=before, after=after, why="")  # type: ignore[arg-type]
        await desk.store.move(move, Envelope(desk.clock.now()))


async def test_before_the_first_release_there_is_the_source_to_compare_with(desk: Desk) -> None:
    record = await released(desk, {"a.py": b"x = 2\n"})
    found = await desk.differences(await desk.access.caller(desk.people["morgan"]), record.operation_id)
    assert (found.digest, found.revision, found.last) == (record.digest, record.revision, None)
    [one] = found.files
    assert (one.path, one.against, one.counterpart) == (NAME, "source", record.revision)
    assert [(entry.path, entry.status) for entry in one.entries] == [
        ("PKG-INFO", "changed"),
        ("a.py", "changed"),
    ]


async def test_each_file_is_compared_with_the_last_release_that_was_performed(desk: Desk) -> None:
    first = await released(desk, {"a.py": b"x = 1\n"}, notes=b"old\n")
    await performed(desk, first)
    never = await released(desk, {"a.py": b"x = 7\n"})
    record = await released(desk, {"a.py": b"x = 2\n"}, notes=b"new\n")
    found = await desk.differences(await desk.access.caller(desk.people["morgan"]), record.operation_id)
    assert found.last == first.operation_id != never.operation_id
    told = {(one.path, one.against): one for one in found.files}
    assert [entry.text for entry in told[NAME, "last"].entries] == ["@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n"]
    assert told[NAME, "last"].counterpart == NAME
    assert [entry.text for entry in told["notes.txt", "last"].entries] == ["@@ -1,1 +1,1 @@\n-old\n+new\n"]
    assert told["notes.txt", "source"].problem.startswith("it is no distribution")


async def test_what_cannot_be_compared_is_said_for_each_file(desk: Desk) -> None:
    desk.tree.problem = "there is no mirror of it yet"
    first = await released(desk, {"a.py": b"1"})
    await performed(desk, first)
    record = await released(desk, {"a.py": b"2"})
    assert first.frozen is not None
    del desk.run.contents[first.frozen.stage1.files[0].sha256]
    found = await desk.differences(await desk.access.caller(desk.people["morgan"]), record.operation_id)
    assert [(one.against, one.problem) for one in found.files] == [
        ("last", "it is not stored any more"),
        ("source", "there is no mirror of it yet"),
    ]


async def test_only_who_may_ask_or_approve_sees_what_files_hold(desk: Desk) -> None:
    record = await released(desk, {"a.py": b"1"})
    reader = await desk.access.make_client("people/reader", "liftlock:list-operations")
    with pytest.raises(RefusedError, match="liftlock:approve:publish-widget"):
        await desk.differences(await desk.access.caller(reader), record.operation_id)
    asker = await desk.access.make_client(
        "people/asker", "liftlock:list-operations", "liftlock:request:publish-widget"
    )
    assert (await desk.differences(await desk.access.caller(asker), record.operation_id)).files
    with pytest.raises(NotFoundError):
        await desk.differences(await desk.access.caller(asker), "A" * 22)
    with pytest.raises(ConflictError, match="nothing is frozen"):
        await desk.differences(await desk.access.caller(asker), (await desk.ask()).operation_id)


SIMPLE = "https://index.example.org/simple/"
PUBLISHED = {
    "kind": "publish-distribution",
    "settings": {"name": "gadget", "upload": "https://index.example.org/", "simple": SIMPLE},
}


async def test_before_liftlock_published_there_is_the_indexs_last_release_to_compare_with(
    engine: Engine, tmp_path: Path
) -> None:
    desk = await Desk.make(engine, tmp_path, contract=CONTRACT, stage2=PUBLISHED)
    for version, text in (("0.8", b"x = 0\n"), ("0.9", b"x = 1\n"), ("2.0", b"x = 9\n")):
        content = sdist(members={f"gadget-{version}/a.py": text}, top=f"gadget-{version}")
        desk.index.put(SIMPLE, "gadget", f"gadget-{version}.tar.gz", content)
    record = await released(desk, {"a.py": b"x = 2\n"})
    found = await desk.differences(await desk.access.caller(desk.people["morgan"]), record.operation_id)
    assert found.last is None
    [one] = [each for each in found.files if each.against == "last"]
    assert one.counterpart == "gadget-0.9.tar.gz", "the newest before this version"
    assert [entry.text for entry in one.entries] == ["@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n"]
    await performed(desk, record)
    later = await released(desk, {"a.py": b"x = 3\n"})
    again = await desk.differences(await desk.access.caller(desk.people["morgan"]), later.operation_id)
    assert again.last == record.operation_id, "what liftlock performed is known by its digest"


async def test_an_index_that_does_not_answer_is_a_problem_of_the_comparison_alone(
    engine: Engine, tmp_path: Path
) -> None:
    desk = await Desk.make(engine, tmp_path, contract=CONTRACT, stage2=PUBLISHED)
    desk.index.broken = "index.example.org: ConnectError"
    record = await released(desk, {"a.py": b"1"})
    found = await desk.differences(await desk.access.caller(desk.people["morgan"]), record.operation_id)
    assert {each.against: each.problem for each in found.files} == {
        "last": "index.example.org: ConnectError",
        "source": "",
    }
