"""From a ring to a decision task: what is recorded, with whose scopes it is decided, and what is said when it is not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.pushes.push import Claim
from liftlock.errors import ConflictError, NotFoundError, RefusedError, RepositoryError
from liftlock.ports.doorbells import Ring
from liftlock.ports.push_store import PushQuery
from liftlock.services.watch_pushes import BURST, POLL
from push_world import CONFIG, CREATE, ROLE, PushWorld, digest_of, project


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> PushWorld:
    return await PushWorld.make(engine, tmp_path)


async def _definition(world: PushWorld, task: str) -> dict[str, Any]:
    [stored] = await world.tasks.stored([task])
    return stored.document


async def _rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    def script() -> Script[list[tuple[Any, ...]]]:
        return (yield Sql(statement))

    return await engine.read(script)


async def test_a_push_becomes_a_decision_task_with_the_role_of_its_branch_and_nothing_else(
    world: PushWorld,
) -> None:
    push = await world.push()
    assert (push.id, push.branch, push.kind, push.decision) == (1, "main", "created", "started")
    document = await _definition(world, push.task_id)
    assert document["scopes"] == [f"assume:{ROLE}:branch:main"]
    assert document["taskGroupId"] == push.task_id
    assert document["metadata"]["name"] == "Decision"
    assert document["metadata"]["source"] == "https://github.com/demo/widget"
    assert push.config_digest == digest_of(CONFIG)


async def test_what_was_there_when_the_project_was_registered_is_no_push(world: PushWorld) -> None:
    world.repository.commit_to("main", CONFIG)
    await world.register(name="gadget")
    await world.watch.step()
    await world.watch.settle()
    assert await world.store.pushes("gadget", PushQuery()) == []


async def test_existing_branches_are_decided_if_that_was_asked_for(world: PushWorld) -> None:
    world.repository.commit_to("main", None)
    caller = await world.access.caller()
    await world.projects.register(caller, project("gadget"), NOW, decide_existing=True)
    push = await world.observe(name="gadget")
    assert (push.id, push.kind, push.decision_text) == (1, "created", "there is no .taskcluster.yml")


async def test_each_branch_that_moved_is_one_push(world: PushWorld) -> None:
    world.repository.commit_to("main", CONFIG)
    world.repository.commit_to("dev", None)
    world.repository.commit_to("private", None)
    await world.observe()
    assert [(push.id, push.branch) for push in await world.store.pushes("widget", PushQuery())] == [
        (2, "main"),
        (1, "dev"),
    ]


async def test_forced_and_deleted_branches_are_recorded_as_such(world: PushWorld) -> None:
    first = await world.push()
    forced = await world.push(parent=None)
    assert (forced.kind, forced.base_revision) == ("forced", first.revision)
    del world.repository.branches["main"]
    deleted = await world.observe()
    assert (deleted.kind, deleted.decision, deleted.revision) == ("deleted", "none", "0" * 40)


async def test_a_ring_says_who_pushed_only_for_what_liftlock_sees_itself(world: PushWorld) -> None:
    revision = world.repository.commit_to("main", CONFIG)
    lies = [
        Claim(branch="main", revision="f" * 40, pusher="mallory"),
        Claim(branch="x", revision=revision, pusher="mallory"),
    ]
    push = await world.observe(*lies, Claim(branch="main", revision=revision, pusher="sam"))
    assert (push.revision, push.owner, push.owner_standing) == (revision, "sam", "claimed")
    assert len(await world.store.pushes("widget", PushQuery())) == 1


async def test_a_ring_without_a_movement_records_nothing(world: PushWorld) -> None:
    await world.push()
    await world.observe(Claim(branch="main", revision="f" * 40, pusher="mallory"))
    assert len(await world.store.pushes("widget", PushQuery())) == 1


async def test_without_a_ring_the_poll_finds_the_push_and_its_author_owns_it(world: PushWorld) -> None:
    await world.watch.step()
    await world.watch.settle()
    world.repository.commit_to("main", CONFIG)
    await world.watch.step()
    await world.watch.settle()
    assert await world.store.pushes("widget", PushQuery()) == []
    world.clock.instant += POLL
    await world.watch.step()
    await world.watch.settle()
    [push] = await world.store.pushes("widget", PushQuery())
    assert (push.owner, push.owner_standing) == ("robin@example.org", "author")


async def test_rings_that_were_left_while_nobody_answered_are_read_at_start(world: PushWorld) -> None:
    revision = world.repository.commit_to("main", CONFIG)
    world.doorbells.left = [
        Ring(project="unknown"),
        Ring(project="widget", claims=(Claim(branch="main", revision=revision, pusher="sam"),)),
    ]
    await world.watch.step()
    await world.watch.settle()
    [push] = await world.store.pushes("widget", PushQuery())
    assert (push.owner, push.owner_standing) == ("sam", "claimed")


@pytest.mark.parametrize(
    ("content", "state", "text"),
    [
        (None, "none", "there is no .taskcluster.yml"),
        ("version: 1\ntasks: []", "none", "asks for no task"),
        ("version: [", "failed", "InputError: .taskcluster.yml: expected YAML"),
        ("version: 1\ntasks: ['${nowhere}']", "failed", "TemplateError: "),
        ("version: 1\ntasks: [{}]", "failed", "InputValidationError: "),
        (CONFIG.replace("branch:main", "branch:other"), "failed", "InsufficientScopes: "),
    ],
)
async def test_why_there_is_no_decision_task_is_recorded_with_the_push(
    world: PushWorld, content: str | None, state: str, text: str
) -> None:
    push = await world.push(content)
    assert push.decision == state
    assert text in push.decision_text
    assert await world.tasks.task(push.task_id) is None
    rows = await _rows(world.engine, "SELECT verdict FROM audit WHERE action = 'pushes.decide'")
    assert rows == [("refused" if state == "failed" else "allowed",)]


async def test_a_role_without_the_scopes_is_named_with_what_it_lacks(world: PushWorld) -> None:
    world.repository.commit_to("dev", CONFIG.replace("branch:main", "branch:dev"))
    push = await world.observe(branch="dev")
    assert push.decision == "failed"
    assert CREATE[0] in push.decision_text


async def test_a_push_whose_decision_was_interrupted_is_decided_later_and_once(world: PushWorld) -> None:
    class Interrupted(BaseException):
        """Stands for a process that dies."""

    async def die(*_: Any, **__: Any) -> Any:
        raise Interrupted

    decide, world.start._create_task = world.start._create_task, die  # type: ignore[assignment]
    world.repository.commit_to("main", CONFIG)
    await world.watch.ring("widget", ())
    await world.watch.step()
    await world.watch.settle()
    [push] = await world.store.pushes("widget", PushQuery())
    assert push.decision == "pending"
    world.start._create_task = decide
    again = await world.observe()
    assert (again.id, again.task_id, again.decision) == (1, push.task_id, "started")
    await world.observe()
    assert len(await _rows(world.engine, "SELECT task_id FROM task")) == 1


async def test_a_failed_decision_is_taken_again_with_the_roles_of_then(world: PushWorld) -> None:
    world.repository.commit_to("dev", CONFIG.replace("branch:main", "branch:dev"))
    failed = await world.observe(branch="dev")
    assert failed.decision == "failed"
    sam = await world.user("people/sam", "pushes:retry-decision:widget")
    await world.access.make_role(f"{ROLE}:branch:dev", *CREATE)
    await world.retry(await world.access.caller(sam), "widget", failed.id, NOW)
    again = await world.observe(branch="dev")
    assert (again.id, again.decision, again.decision_text) == (failed.id, "started", "")
    with pytest.raises(ConflictError, match="its decision is started, not failed"):
        await world.retry(await world.access.caller(sam), "widget", failed.id, NOW)
    for name, push_id in (("widget", 9), ("gadget", 1)):
        with pytest.raises(NotFoundError):
            await world.retry(await world.access.caller(), name, push_id, NOW)
    with pytest.raises(RefusedError, match="pushes:retry-decision:widget"):
        await world.retry(await world.access.caller(await world.user("people/eve")), "widget", failed.id, NOW)


async def test_a_repository_that_fails_for_a_moment_delays_a_decision_and_loses_none(
    world: PushWorld,
) -> None:
    read = world.repository.file

    async def fail_for_main(project: Any, revision: str, path: str, *, max_bytes: int) -> bytes | None:
        if revision == world.repository.branches["main"]:
            raise RepositoryError("git cat-file: not done within 60 s")
        return await read(project, revision, path, max_bytes=max_bytes)

    world.repository.commit_to("main", CONFIG)
    world.repository.commit_to("dev", None)
    world.repository.file = fail_for_main  # type: ignore[method-assign]
    await world.observe_quietly()
    states = {push.branch: push.decision for push in await world.store.pushes("widget", PushQuery())}
    assert states == {"main": "pending", "dev": "none"}
    assert world.watch.last_look("widget").error == "RepositoryError: git cat-file: not done within 60 s"
    world.repository.file = read  # type: ignore[method-assign]
    assert (await world.observe()).decision == "started"


async def test_a_project_that_cannot_be_fetched_says_why_and_is_tried_again(world: PushWorld) -> None:
    world.repository.broken = "git fetch: no such host"
    await world.watch.ring("widget", ())
    await world.watch.step()
    await world.watch.settle()
    assert world.watch.last_look("widget").error == "RepositoryError: git fetch: no such host"
    world.repository.broken = None
    assert (await world.push()).decision == "started"


async def test_rings_of_unknown_projects_are_forgotten(world: PushWorld) -> None:
    for number in range(50):
        await world.watch.ring(f"unknown{number}", ())
    await world.watch.step()
    await world.watch.settle()
    assert len(world.watch._watched) == 1


async def test_rings_that_come_while_a_fetch_runs_lead_to_one_more(world: PushWorld) -> None:
    await world.watch.ring("widget", ())
    await world.watch.step()
    for _ in range(BURST - 2):
        await world.watch.ring("widget", ())
        await world.watch.step()
    before = world.repository.fetches
    await world.watch.settle()
    assert world.repository.fetches - before <= 2


async def test_who_rings_without_end_makes_liftlock_fetch_no_faster_than_its_pace(
    world: PushWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    really = asyncio.sleep

    async def sleep(seconds: float, *_: Any) -> None:
        if seconds == 1.0:  # a database's driver sleeps as well, for shorter times
            waited.append(seconds)
        await really(0)

    monkeypatch.setattr("liftlock.services.watch_pushes.asyncio.sleep", sleep)
    for _ in range(BURST + 3):
        await world.observe_quietly()
    assert waited == [1.0] * 3
    world.clock.instant += timedelta(seconds=BURST + 3)
    await world.observe_quietly()
    assert len(waited) == 3


async def test_who_registers_a_repository_needs_its_roles(world: PushWorld) -> None:
    caller = await world.access.caller(await world.user("people/sam", "pushes:manage-project:*"))
    with pytest.raises(RefusedError, match=r"assume:repo:github.com/demo/gadget:\*"):
        await world.projects.register(caller, project("gadget"), NOW)
    assert await world.store.project("gadget") is None


async def test_who_changes_a_project_needs_the_roles_before_and_after(world: PushWorld) -> None:
    scopes = ["pushes:manage-project:*", "assume:repo:github.com/demo/other:*"]
    caller = await world.access.caller(await world.user("people/sam", *scopes))
    with pytest.raises(RefusedError, match=r"assume:repo:github\.com/demo/widget"):
        await world.projects.update(caller, project(identity="https://github.com/demo/other"), NOW)


async def test_registering_twice_alike_is_one_project_and_otherwise_refused(world: PushWorld) -> None:
    assert await world.register() == project()
    with pytest.raises(ConflictError, match="exists with other settings"):
        await world.register(level=1)


async def test_a_repository_that_cannot_be_fetched_is_not_registered(world: PushWorld) -> None:
    world.repository.broken = "git fetch: nothing there"
    with pytest.raises(RepositoryError):
        await world.register(name="gadget")
    assert await world.store.project("gadget") is None


async def test_removing_a_project_removes_the_mirror_and_keeps_the_log(world: PushWorld) -> None:
    await world.push()
    await world.projects.remove(await world.access.caller(), "widget", NOW)
    assert world.repository.pushes == {}
    assert len(await world.log.find(await world.access.caller(), "widget", PushQuery())) == 1
    with pytest.raises(NotFoundError, match="there is no project widget"):
        await world.projects.get(await world.access.caller(), "widget")


async def _source(world: PushWorld, revision: str, *scopes: str) -> list[str]:
    caller = await world.access.caller(
        await world.user("people/sam", *(scopes or ("pushes:get-source:widget",)))
    )
    vcs, chunks = await world.log.source(caller, "widget", revision)
    assert vcs == "git"
    return b"".join([chunk async for chunk in chunks]).decode().split()[1::2]


async def test_the_source_of_a_push_has_its_branch_and_its_base(world: PushWorld) -> None:
    first = await world.push()
    assert await _source(world, first.revision) == ["HEAD", "refs/heads/main"]


async def test_the_source_of_a_later_push_has_the_base_too(world: PushWorld) -> None:
    await world.push()
    second = await world.push()
    assert await _source(world, second.revision) == ["HEAD", "refs/heads/main", "refs/liftlock/base"]


async def test_only_what_a_recorded_push_brought_is_given_out(world: PushWorld) -> None:
    inner = world.repository.commit_to("main", CONFIG)
    await world.push()
    assert await _source(world, inner) == ["HEAD", "refs/heads/source"]
    secret = world.repository.commit_to("private", CONFIG)
    await world.observe()
    caller = await world.access.caller()
    for revision in (secret, "e" * 40):
        with pytest.raises(NotFoundError, match="no recorded push of widget brought"):
            await world.log.source(caller, "widget", revision)


async def test_the_source_needs_the_scope_of_its_project(world: PushWorld) -> None:
    push = await world.push()
    with pytest.raises(RefusedError, match="pushes:get-source:widget"):
        await _source(world, push.revision, "pushes:get-source:gadget")


async def test_the_log_needs_a_scope_and_names_what_is_missing(world: PushWorld) -> None:
    await world.push()
    caller = await world.access.caller(await world.user("people/sam", "pushes:list-pushes:widget"))
    assert (await world.log.get(caller, "widget", 1)).id == 1
    with pytest.raises(NotFoundError, match="there is no push 2 in the log of widget"):
        await world.log.get(caller, "widget", 2)
    with pytest.raises(RefusedError):
        await world.log.find(caller, "gadget", PushQuery())


async def test_roles_that_change_while_a_push_is_decided_are_read_anew(world: PushWorld) -> None:
    await world.push()
    await world.access.make_role("unrelated", "x")
    other = PushWorld(world.engine, world.directory)
    other.access.nonces = world.access.nonces
    await other.access.make_role("unrelated2", "x")
    push = await world.push(CONFIG + "2")
    assert push.decision == "started"
