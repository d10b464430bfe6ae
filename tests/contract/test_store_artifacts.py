"""The store of artifacts keeps its promises on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.domain.tasks.artifacts import MAX_LIVE_LOG_BYTES, Content, Declared, object_name
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.lifecycle import Report
from liftlock.errors import ConflictError, InputInvalidError, NotFoundError, TooLargeError
from liftlock.ports.artifact_store import StoredObject, Ticket
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import to_ms
from task_builders import NOW, QUEUE, document, task_id

ID = task_id(1)
TOMORROW = to_ms(NOW + timedelta(days=1))
AT = Envelope(now=NOW)
CONTENT = Content("b" * 64, 3, "identity", "b" * 64, 3, "c" * 128)
OTHER = Content("d" * 64, 4, "gzip", "e" * 64, 40, "f" * 128)


@pytest.fixture
async def store(engine: Engine) -> SqlArtifactStore:
    tasks = SqlTaskStore(engine)
    await tasks.create(define(ID, document(), NOW), [], AT)
    await tasks.claim(QUEUE, "g", "w", 1, to_ms(NOW + timedelta(minutes=20)), AT)
    return SqlArtifactStore(engine)


def bytes_of(kind: str = "s3", **changes: Any) -> Declared:
    given: dict[str, Any] = {"storage": kind, "content_type": "text/plain", "expires_ms": TOMORROW}
    return Declared(**(given | changes))


def ticket(token: str = "t" * 64, name: str = "a", kind: Any = "artifact") -> Ticket:
    return Ticket(token, kind, ID, 0, name, "text/plain", to_ms(NOW + timedelta(minutes=45)))


async def names(store: SqlArtifactStore) -> list[str]:
    return [one.name for one in await store.listed(ID, 0, "", 100)]


async def test_an_upload_is_visible_only_when_it_is_filled(store: SqlArtifactStore) -> None:
    made = await store.declare(ID, 0, "a", bytes_of(), None, ticket(), AT)
    assert not made.visible
    assert (await names(store), await store.chain(ID, 0, "a")) == ([], {})
    await store.fill("t" * 64, CONTENT, AT)
    [found] = await store.listed(ID, 0, "", 9)
    assert (found.name, found.content) == ("a", CONTENT)
    used = await store.ticket("t" * 64)
    assert used is not None
    assert used.blob == CONTENT.blob


async def test_the_same_bytes_again_are_fine_and_others_a_conflict(store: SqlArtifactStore) -> None:
    await store.declare(ID, 0, "a", bytes_of(), None, ticket(), AT)
    await store.fill("t" * 64, CONTENT, AT)
    await store.fill("t" * 64, CONTENT, AT)
    with pytest.raises(ConflictError, match="was used"):
        await store.fill("t" * 64, OTHER, AT)
    await store.declare(ID, 0, "a", bytes_of(), None, ticket("u" * 64), AT)
    with pytest.raises(ConflictError, match="immutable"):
        await store.fill("u" * 64, OTHER, AT)


async def test_of_two_uploads_at_once_one_wins_and_both_see_the_same(store: SqlArtifactStore) -> None:
    for token in ("t", "u"):
        await store.declare(ID, 0, "a", bytes_of(), None, ticket(token * 64), AT)
    answers = await asyncio.gather(
        store.fill("t" * 64, CONTENT, AT), store.fill("u" * 64, OTHER, AT), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["ConflictError", "NoneType"]
    [found] = await store.listed(ID, 0, "", 9)
    assert found.content in (CONTENT, OTHER)


async def test_a_ticket_lapses_and_an_unknown_one_is_none(store: SqlArtifactStore) -> None:
    await store.declare(ID, 0, "a", bytes_of(), None, ticket(), AT)
    late = Envelope(now=NOW + timedelta(minutes=45))
    with pytest.raises(NotFoundError):
        await store.fill("t" * 64, CONTENT, late)
    with pytest.raises(NotFoundError):
        await store.fill("x" * 64, CONTENT, AT)
    assert await store.ticket("x" * 64) is None


async def test_references_are_replaced_and_links_followed(store: SqlArtifactStore) -> None:
    await store.declare(ID, 0, "log", bytes_of("reference", target="https://x"), None, None, AT)
    await store.declare(ID, 0, "log", bytes_of("link", target="backing"), None, None, AT)
    assert list(await store.chain(ID, 0, "log")) == ["log"]
    await store.declare(ID, 0, "backing", bytes_of("link", target="log"), None, None, AT)
    assert list(await store.chain(ID, 0, "log")) == ["log", "backing"]
    with pytest.raises(ConflictError):
        await store.declare(ID, 0, "log", bytes_of("reference", target="https://x"), None, None, AT)


async def test_an_expiry_becomes_later_and_never_earlier(store: SqlArtifactStore) -> None:
    await store.declare(ID, 0, "e", bytes_of("error", reason="r", message="m"), None, None, AT)
    later = bytes_of("error", reason="r", message="m", expires_ms=TOMORROW + 5)
    assert (await store.declare(ID, 0, "e", later, None, None, AT)).declared.expires_ms == TOMORROW + 5
    [found] = await store.listed(ID, 0, "", 9)
    assert found.declared.expires_ms == TOMORROW + 5
    with pytest.raises(ConflictError, match="later"):
        await store.declare(ID, 0, "e", bytes_of("error", reason="r", message="m"), None, None, AT)


async def test_nothing_is_declared_for_a_run_that_is_over(store: SqlArtifactStore, engine: Engine) -> None:
    await SqlTaskStore(engine).transition(ID, Report(0, "completed", "completed"), AT)
    with pytest.raises(ConflictError, match="completed"):
        await store.declare(ID, 0, "a", bytes_of(), None, ticket(), AT)
    with pytest.raises(NotFoundError):
        await store.declare(task_id(9), 0, "a", bytes_of(), None, None, AT)


async def test_lists_go_by_name_in_pages(store: SqlArtifactStore) -> None:
    for name in ("b", "a/z", "B", "a"):
        await store.declare(ID, 0, name, bytes_of("error", reason="r", message="m"), None, None, AT)
    assert [one.name for one in await store.listed(ID, 0, "", 3)] == ["B", "a", "a/z"]
    assert [one.name for one in await store.listed(ID, 0, "a/z", 3)] == ["b"]


def an_object(**changes: Any) -> StoredObject:
    given: dict[str, Any] = {
        "name": object_name(ID, 0, "o"),
        "project_id": "p",
        "upload_id": task_id(5),
        "content_type": "text/plain",
        "expires_ms": TOMORROW,
        "hashes": {},
        "finished": False,
    }
    return StoredObject(**(given | changes))


async def test_an_object_is_uploaded_finished_and_made_an_artifact(store: SqlArtifactStore) -> None:
    wanted = an_object()
    await store.declare(ID, 0, "o", bytes_of("object"), wanted.upload_id, None, AT)
    await store.begin_object(wanted, None, AT)
    await store.begin_object(wanted, None, AT)
    with pytest.raises(ConflictError, match="not finished"):
        await store.finish_artifact(ID, 0, "o", wanted.upload_id, AT)
    with pytest.raises(ConflictError, match="no bytes"):
        await store.finish_object(wanted.name, "p", wanted.upload_id, {}, AT)
    await store.fill_object(wanted.name, wanted.upload_id, CONTENT)
    with pytest.raises(ConflictError, match="another sha256"):
        await store.finish_object(wanted.name, "p", wanted.upload_id, {"sha256": "0" * 64}, AT)
    await store.finish_object(wanted.name, "p", wanted.upload_id, {"sha256": "b" * 64}, AT)
    with pytest.raises(ConflictError):
        await store.begin_object(wanted, None, AT)
    with pytest.raises(InputInvalidError, match="uploadId"):
        await store.finish_artifact(ID, 0, "o", task_id(6), AT)
    await store.finish_artifact(ID, 0, "o", wanted.upload_id, AT)
    assert await names(store) == ["o"]
    found = await store.object(wanted.name)
    assert found is not None
    assert (found.finished, found.hashes["sha256"]) == (True, "b" * 64)


async def test_another_upload_id_can_not_take_over_an_object(store: SqlArtifactStore) -> None:
    await store.begin_object(an_object(), None, AT)
    with pytest.raises(ConflictError):
        await store.begin_object(an_object(upload_id=task_id(6)), None, AT)
    with pytest.raises(ConflictError):
        await store.fill_object(object_name(ID, 0, "o"), task_id(6), CONTENT)
    await store.begin_object(an_object(hashes={"sha256": "1" * 64}), None, AT)
    with pytest.raises(ConflictError, match="said to be another"):
        await store.begin_object(an_object(hashes={"sha256": "2" * 64}), None, AT)


async def test_only_object_artifacts_are_finished(store: SqlArtifactStore) -> None:
    await store.declare(ID, 0, "a", bytes_of(), None, ticket(), AT)
    with pytest.raises(InputInvalidError, match="storageType s3"):
        await store.finish_artifact(ID, 0, "a", task_id(5), AT)
    with pytest.raises(NotFoundError):
        await store.finish_artifact(ID, 0, "gone", task_id(5), AT)


async def test_a_live_log_grows_without_gaps_and_repeats_are_taken(store: SqlArtifactStore) -> None:
    async def append(offset: int, data: bytes) -> int:
        return await store.append_log(ID, 0, "log", offset, data, AT)

    assert await append(0, b"abc") == 3
    assert await append(3, b"def") == 6
    assert await append(3, b"def") == 6
    assert await append(1, b"bcdefghi") == 9, "what overlaps is equal, the rest is new"
    assert await append(9, b"") == 9
    for offset, data in ((10, b"x"), (1, b"X"), (5, b"fgX")):
        with pytest.raises(ConflictError):
            await append(offset, data)
    for offset in range(10):
        part = await store.read_log(ID, 0, "log", offset)
        assert part is not None
        assert (part.data, part.ended) == (b"abcdefghi"[offset:], False)


async def test_a_live_log_has_a_bound(store: SqlArtifactStore) -> None:
    with pytest.raises(TooLargeError):
        await store.append_log(ID, 0, "log", 0, bytes(MAX_LIVE_LOG_BYTES + 1), AT)


async def test_a_live_log_ends_with_its_run(store: SqlArtifactStore, engine: Engine) -> None:
    empty = await store.read_log(ID, 0, "log", 0)
    assert empty is not None, "the run is going on: there may be a log yet"
    await store.append_log(ID, 0, "log", 0, b"abc", AT)
    await SqlTaskStore(engine).transition(ID, Report(0, "completed", "completed"), AT)
    part = await store.read_log(ID, 0, "log", 1)
    assert part is not None
    assert (part.data, part.ended) == (b"bc", True)
    assert await store.read_log(ID, 0, "other", 0) is None


async def test_a_long_live_log_is_read_in_parts(store: SqlArtifactStore) -> None:
    for number in range(40):
        await store.append_log(ID, 0, "log", number * 2, b"%02d" % number, AT)
    data = b""
    while part := await store.read_log(ID, 0, "log", len(data)):
        if not part.data:
            break
        data += part.data
    assert data == b"".join(b"%02d" % number for number in range(40))


async def test_what_expires_is_forgotten_and_its_bytes_become_orphans(store: SqlArtifactStore) -> None:
    for name, token, content in (("a", "t" * 64, CONTENT), ("b", "u" * 64, CONTENT), ("c", "v" * 64, OTHER)):
        late = TOMORROW + 5 if name == "b" else TOMORROW
        await store.declare(ID, 0, name, bytes_of(expires_ms=late), None, ticket(token, name), AT)
        await store.fill(token, content, AT)
    assert await store.expire(TOMORROW - 1, 100) == 3, "the used tickets"
    assert await store.expire(TOMORROW, 100) == 2
    assert await names(store) == ["b"]
    assert await store.orphans(TOMORROW, 9) == [OTHER.blob], "the other one is still in use"
    assert await store.orphans(TOMORROW - 1, 9) == []
    await store.buried(OTHER.blob)
    assert await store.orphans(TOMORROW, 9) == []
    assert await store.expire(TOMORROW + 5, 100) == 1
    assert await store.orphans(TOMORROW + 5, 9) == [CONTENT.blob]


async def test_a_live_log_goes_an_hour_after_its_artifact_came(store: SqlArtifactStore) -> None:
    hour_later = to_ms(NOW + timedelta(hours=1)) + 1
    await store.append_log(ID, 0, "log", 0, b"abc", AT)
    assert await store.expire(hour_later, 100) == 0, "there is nothing else of it"
    await store.declare(ID, 0, "log", bytes_of(), None, ticket(name="log"), AT)
    await store.fill("t" * 64, CONTENT, AT)
    assert await store.expire(hour_later, 100) == 2, "the ticket and the log"
