"""Projects, the push log and the contents of hooks, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.pushes.movements import Movement
from liftlock.domain.pushes.project import Project, define_project
from liftlock.domain.pushes.push import Push
from liftlock.errors import ConflictError, StorageError
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.push_store import Admission, Content, DecisionOutcome, NewPush, PushQuery

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
A, B, C = "a" * 40, "b" * 40, "c" * 40
DIGEST, OTHER = "0123456789" + "c" * 54, "0123456789" + "d" * 54


def project(name: str = "widget", **changes: Any) -> Project:
    given: dict[str, Any] = {
        "name": name,
        "identity": f"https://github.com/demo/{name}",
        "fetch_address": "/srv/widget.git",
        "level": 3,
        "branches": ["main", "dev*"],
        "trust_domain": "demo",
    }
    return define_project(**(given | changes))


def moved(old: str | None, new: str | None, branch: str = "main", number: int = 1, **changes: Any) -> NewPush:
    made = NewPush(
        movement=Movement(branch, old, new),
        kind=Movement(branch, old, new).kind(old_is_ancestor=True),
        at=NOW + timedelta(seconds=number),
        owner="robin@example.org",
        owner_standing="claimed",
        author="Robin Ö <robin@example.org>",
        message="Subject\n\nBody",
        task_id=f"{number:08d}SbArXTPSVFNUvaOlinQ"[:22],
    )
    return msgspec.structs.replace(made, **changes)


def envelope(*audit: AuditRecord, events: tuple[Event, ...] = ()) -> Envelope:
    return Envelope(NOW, audit=audit, events=events)


async def recorded(store: SqlPushStore, *news: NewPush, of: Project | None = None) -> list[Push]:
    found = [await store.record(of or project(), new, envelope()) for new in news]
    assert None not in found
    return [push for push in found if push is not None]


@pytest.fixture
async def store(engine: Engine) -> SqlPushStore:
    made = SqlPushStore(engine)
    await made.put_project(project(), {}, envelope(), create=True)
    return made


async def test_a_project_is_read_back_as_it_was_put(store: SqlPushStore) -> None:
    assert await store.project("widget") == project()
    assert await store.project("other") is None
    await store.put_project(project(level=1), {"main": A}, envelope(), create=False)
    assert await store.project("widget") == project(level=1)
    assert await store.heads("widget") == {}
    await store.put_project(project("gadget"), {"main": A, "dev": B}, envelope(), create=True)
    assert [each.name for each in await store.projects()] == ["gadget", "widget"]
    assert await store.heads("gadget") == {"main": A, "dev": B}


async def test_creating_what_exists_and_changing_what_does_not_are_refused(store: SqlPushStore) -> None:
    with pytest.raises(ConflictError, match="project widget exists already"):
        await store.put_project(project(), {}, envelope(), create=True)
    with pytest.raises(ConflictError, match="project gadget does not exist"):
        await store.put_project(project("gadget"), {}, envelope(), create=False)


async def test_two_projects_never_share_an_identity_and_with_it_their_roles(store: SqlPushStore) -> None:
    twin = project("twin", identity=project().identity, level=1)
    with pytest.raises(ConflictError, match="registered already, as project widget"):
        await store.put_project(twin, {}, envelope(), create=True)
    await store.put_project(project("gadget"), {}, envelope(), create=True)
    with pytest.raises(ConflictError, match="registered already, as project widget"):
        await store.put_project(project("gadget", identity=project().identity), {}, envelope(), create=False)


async def test_two_who_register_one_identity_at_once_do_not_both_succeed(engine: Engine) -> None:
    store = SqlPushStore(engine)
    twins = [project(name, identity="https://h.example/one") for name in ("a", "b")]
    puts = (store.put_project(each, {}, envelope(), create=True) for each in twins)
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert sorted(type(each) for each in results if each is not None) in ([ConflictError], [StorageError])
    assert len(await store.projects()) == 1


async def test_a_removed_project_frees_its_identity_and_its_log_goes_on_later(store: SqlPushStore) -> None:
    await recorded(store, moved(None, A))
    await store.remove_project("widget", envelope())
    await store.remove_project("widget", envelope())
    assert await store.project("widget") is None
    assert await store.projects() == []
    assert len(await store.pushes("widget", PushQuery())) == 1
    assert await store.record(project(), moved(None, B, number=2), envelope()) is None
    await store.put_project(project("other", identity=project().identity), {}, envelope(), create=True)
    again = project(identity="https://h.example/again")
    await store.put_project(again, {}, envelope(), create=True)
    [push] = await recorded(store, moved(None, B, number=3), of=again)
    assert push.id == 2


async def test_pushes_are_numbered_from_one_in_each_project(store: SqlPushStore) -> None:
    await store.put_project(project("gadget"), {"main": A}, envelope(), create=True)
    first, second = await recorded(store, moved(None, A), moved(A, B, number=2))
    [theirs] = await recorded(store, moved(A, B, number=3), of=project("gadget"))
    assert [first.id, second.id, theirs.id] == [1, 2, 1]
    assert await store.heads("widget") == {"main": B}
    assert (second.base_revision, second.revision, second.kind) == (A, B, "advanced")
    assert (second.identity, second.level, second.trust_domain) == (project().identity, 3, "demo")
    assert await store.push("widget", 2) == second
    assert await store.push("widget", 3) is None
    assert await store.push_of_task(second.task_id) == second
    assert await store.push_of_task("nothing") is None


async def test_a_new_branch_has_zeros_before_and_a_deleted_one_after_with_nothing_to_decide(
    store: SqlPushStore,
) -> None:
    created, deleted = await recorded(store, moved(None, A), moved(A, None, number=2))
    assert (created.base_revision, created.decision) == ("0" * 40, "pending")
    assert (deleted.revision, deleted.decision, deleted.decision_text) == (
        "0" * 40,
        "none",
        "the branch was deleted",
    )
    assert await store.heads("widget") == {}


async def test_a_movement_from_another_head_is_not_recorded(store: SqlPushStore) -> None:
    await recorded(store, moved(None, A))
    for old in (None, B):
        assert await store.record(project(), moved(old, C, number=2), envelope()) is None
    assert await store.heads("widget") == {"main": A}
    assert len(await store.pushes("widget", PushQuery())) == 1


async def test_of_many_who_observe_one_movement_one_records_it(store: SqlPushStore) -> None:
    found = await asyncio.gather(
        *(store.record(project(), moved(None, A, number=n), envelope()) for n in range(1, 9))
    )
    assert len([push for push in found if push is not None]) == 1


async def test_a_push_commits_with_its_event_and_audit_record(store: SqlPushStore, engine: Engine) -> None:
    audit = AuditRecord("liftlock/pushes", "pushes.record", "project/widget", "changed")
    event = Event("push-recorded", "widget", {"branch": "main"})
    await store.record(project(), moved(None, A), envelope(audit, events=(event,)))

    def script() -> Script[list[tuple[Any, ...]]]:
        return (yield Sql("SELECT topic, key FROM outbox UNION ALL SELECT action, subject FROM audit"))

    assert sorted(await engine.read(script)) == [
        ("push-recorded", "widget"),
        ("pushes.record", "project/widget"),
    ]


async def test_the_log_is_read_by_branch_revision_and_range(store: SqlPushStore) -> None:
    await recorded(
        store,
        moved(None, A, number=1),
        moved(None, A, "dev", number=2),
        moved(A, B, number=3),
        moved(B, C, number=4),
    )

    async def ids(**query: Any) -> list[int]:
        return [push.id for push in await store.pushes("widget", PushQuery(**query))]

    assert await ids() == [4, 3, 2, 1]
    assert await ids(newest_first=False) == [1, 2, 3, 4]
    assert await ids(branch="main") == [4, 3, 1]
    assert await ids(revision=A) == [2, 1]
    assert await ids(after_id=1, before_id=4) == [3, 2]
    assert await ids(branch="main", before_id=4, limit=1) == [3]
    assert await ids(limit=2, newest_first=False) == [1, 2]
    assert await store.pushes("gadget", PushQuery()) == []


async def test_a_decision_is_pending_until_it_is_finished_and_then_stays(store: SqlPushStore) -> None:
    first, second = await recorded(store, moved(None, A), moved(A, B, number=2))
    assert await store.pending(10) == [first, second]
    assert await store.pending(1) == [first]
    failed = DecisionOutcome(project="widget", push_id=1, decision="failed", text="no such scope")
    await store.finish(failed, envelope())
    await store.finish(msgspec.structs.replace(failed, decision="started", text=""), envelope())
    found = await store.push("widget", 1)
    assert found is not None
    assert (found.decision, found.decision_text) == ("failed", "no such scope")
    assert await store.pending(10) == [second]


async def test_only_a_failed_decision_is_made_pending_again(store: SqlPushStore) -> None:
    await recorded(store, moved(None, A), moved(A, B, number=2))
    for number, state in ((1, "failed"), (2, "started")):
        outcome = DecisionOutcome(project="widget", push_id=number, decision=state, text="text")  # type: ignore[arg-type]
        await store.finish(outcome, envelope())
    assert await store.reopen("widget", 1, envelope())
    assert not await store.reopen("widget", 1, envelope())
    assert not await store.reopen("widget", 2, envelope())
    assert not await store.reopen("widget", 3, envelope())
    assert [(push.id, push.decision_text) for push in await store.pending(10)] == [(1, "")]


async def test_a_decisions_outcome_commits_as_a_record_of_another_change(store: SqlPushStore) -> None:
    await recorded(store, moved(None, A))
    outcome = DecisionOutcome(project="widget", push_id=1, decision="started", text="")
    await store.put_project(project(level=1), {}, Envelope(NOW, records=(outcome,)), create=False)
    assert await store.pending(10) == []


async def test_a_pushs_content_is_noted_and_found_by_digest(store: SqlPushStore) -> None:
    await recorded(store, moved(None, A), moved(A, B, number=2))
    await store.note_content("widget", 2, DIGEST, ("waits",), envelope())
    found = await store.push("widget", 2)
    assert found is not None
    assert (found.config_digest, found.alerts) == (DIGEST, ("waits",))
    assert [push.id for push in await store.bringers("demo", 3, DIGEST)] == [2]
    assert await store.bringers("demo", 1, DIGEST) == []
    assert await store.bringers("other", 3, DIGEST) == []


def content(digest: str = DIGEST, **changes: Any) -> Content:
    made = Content(
        trust_domain="demo", level=3, short=digest[:10], digest=digest, project="widget", push_id=1, at=NOW
    )
    return msgspec.structs.replace(made, **changes)


async def test_a_short_name_belongs_to_the_first_content_that_brings_it(store: SqlPushStore) -> None:
    assert await store.content("demo", 3, DIGEST[:10]) is None
    assert await store.own_short_name(content(), envelope()) == content()
    assert await store.own_short_name(content(OTHER, push_id=2), envelope()) == content()
    assert await store.content("demo", 3, DIGEST[:10]) == content()


async def test_a_short_name_of_a_lower_level_takes_none_from_a_higher_one(store: SqlPushStore) -> None:
    await store.own_short_name(content(OTHER, level=1), envelope())
    assert await store.own_short_name(content(), envelope()) == content()


async def test_of_two_contents_brought_at_once_one_owns_the_short_name(store: SqlPushStore) -> None:
    found = await asyncio.gather(
        *(store.own_short_name(content(digest), envelope()) for digest in (DIGEST, OTHER))
    )
    assert len({each.digest for each in found}) == 1


def admission(**changes: Any) -> Admission:
    made = Admission(
        trust_domain="demo",
        level=3,
        permission="release-promotion",
        digest=DIGEST,
        state="waiting",
        by="",
        at=NOW,
        hook_digest="h1",
    )
    return msgspec.structs.replace(made, **changes)


async def test_what_waits_is_admitted_once_and_never_waits_again(store: SqlPushStore) -> None:
    assert await store.admission("demo", 3, "release-promotion", DIGEST) is None
    assert await store.put_admission(admission(), envelope()) == admission()
    assert await store.admissions("waiting") == [admission()]
    later = NOW + timedelta(hours=1)
    admitted = admission(state="admitted", by="people/sam", at=later, hook_digest="h2")
    assert await store.put_admission(admitted, envelope()) == admitted
    assert await store.put_admission(admission(hook_digest="h3"), envelope()) == msgspec.structs.replace(
        admitted, hook_digest="h3"
    )
    assert await store.put_admission(
        msgspec.structs.replace(admitted, by="people/other", hook_digest="h3"), envelope()
    ) == msgspec.structs.replace(admitted, hook_digest="h3")
    assert await store.admissions("waiting") == []
    assert len(await store.admissions("admitted")) == 1


@pytest.mark.parametrize(
    "changes", [{"level": 1}, {"permission": "generic"}, {"digest": OTHER}, {"trust_domain": "other"}]
)
async def test_an_admission_holds_for_its_own_level_permission_digest_and_domain(
    store: SqlPushStore, changes: dict[str, Any]
) -> None:
    await store.put_admission(admission(state="admitted", by="policy"), envelope())
    asked = admission(**changes)
    assert await store.admission(asked.trust_domain, asked.level, asked.permission, asked.digest) is None
