"""Around the approval: every other way in which a stage 2 could run, or an approval could count, tried."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.hooks.definition import define_hook
from liftlock.errors import ConflictError, InputInvalidError, InputValidationError, RefusedError
from liftlock.ports.operation_store import OperationRecord
from liftlock.services.authorize import Caller
from liftlock.values.instants import to_ms
from operation_builders import operation
from operation_desk_world import QUEUE, Desk
from task_builders import document, task_id

HOOK = ("liftlock-operations", "publish-widget")


@pytest.fixture
async def desk(engine: Engine, tmp_path: Path) -> Desk:
    return await Desk.make(engine, tmp_path)


async def root(desk: Desk) -> Caller:
    """Return the caller who has every scope there is."""
    return await desk.access.caller()


async def test_stage_two_runs_only_after_stage_one_and_an_approval(desk: Desk) -> None:
    record = await desk.ask()
    assert await desk.state_of(record.stage2_task_id) == "unscheduled"
    await desk.build(record)
    assert await desk.state_of(record.stage2_task_id) == "unscheduled", (
        "a completed stage 1 schedules nothing"
    )
    await desk.advance.step()
    waiting = await desk.found(record)
    assert await desk.state_of(record.stage2_task_id) == "unscheduled"
    await desk.word(waiting, "morgan")
    await desk.advance.step()
    assert (await desk.found(record)).state == "scheduled"
    assert await desk.state_of(record.stage2_task_id) == "pending"


async def test_nobody_creates_a_task_in_the_privileged_queue(desk: Desk) -> None:
    given = document(taskQueueId=QUEUE, provisionerId="local", workerType="privileged")
    with pytest.raises(RefusedError, match="only an operation creates tasks there"):
        await desk.create_task(await root(desk), task_id(1), given, NOW)


@pytest.mark.parametrize("verb", ["schedule", "rerun"])
async def test_nobody_schedules_or_reruns_a_stage_two(desk: Desk, verb: Any) -> None:
    record = await desk.waiting()
    with pytest.raises(RefusedError, match=f"nobody can {verb} it"):
        await desk.lifecycle.act(await root(desk), verb, record.stage2_task_id, NOW)
    assert await desk.state_of(record.stage2_task_id) == "unscheduled"


async def test_an_operations_hook_fires_by_no_trigger_no_token_and_no_schedule(desk: Desk) -> None:
    record = await desk.ask()
    hook = await desk.hook_store.hook(*HOOK)
    assert hook is not None
    payload = {
        "operationId": record.operation_id,
        "operation": "publish-widget",
        "project": "widget",
        "identity": "https://github.com/demo/widget",
        "ref": "main",
        "revision": record.revision,
        "input": {},
    }
    with pytest.raises(RefusedError, match="starts by a request alone"):
        await desk.fire.by_trigger(await root(desk), *HOOK, payload, NOW)
    token = desk.fire.token_of(hook).decode()
    with pytest.raises(RefusedError, match="starts by a request alone"):
        await desk.fire.by_token(await desk.access.caller(None), *HOOK, token, payload, NOW)

    def due() -> Script[None]:
        yield Sql("UPDATE hook SET next_fire = $1", (to_ms(NOW),))

    await desk.engine.write(due, None)
    with pytest.raises(RefusedError, match="starts by a request alone"):
        await desk.fire.by_schedule(msgspec.structs.replace(hook, next_fire=NOW), NOW)


async def test_another_hook_creates_no_task_in_the_privileged_queue(desk: Desk) -> None:
    body = {
        "metadata": {"name": "n", "description": "d", "owner": "a@example.org"},
        "task": document(taskQueueId=QUEUE, provisionerId="local", workerType="privileged"),
    }
    assert define_hook("g", "h", body).name == "g/h"
    caller = await desk.access.authorizer.internal("hook/g/h", ["*"], NOW)
    with pytest.raises(RefusedError, match="only an operation creates tasks there"):
        await desk.create_task(caller, task_id(2), body["task"], NOW)  # type: ignore[arg-type]


async def test_who_asked_cannot_approve_and_the_attempt_is_recorded(desk: Desk) -> None:
    record = await desk.waiting()
    with pytest.raises(RefusedError, match="who asked for it can't approve it"):
        await desk.word(record, "robin")
    assert await desk.audited("operations.approve") == ["refused"]
    await desk.advance.step()
    assert (await desk.found(record)).state == "waiting"


async def test_who_asked_cannot_approve_through_another_client_or_name(desk: Desk) -> None:
    record = await desk.waiting()
    for changes in ({"as_client": "morgan"}, {"as_client": "alex"}):
        with pytest.raises(RefusedError, match="is not robin"):
            await desk.word(record, "robin", **changes)
    with pytest.raises(RefusedError):
        await desk.word(record, "robin", approver="morgan")


async def test_an_approval_without_a_signature_does_not_count(desk: Desk) -> None:
    record = await desk.waiting()
    with pytest.raises(RefusedError, match="counts signatures only"):
        await desk.word(record, "morgan", method="control-plane-attested", proof="")


async def test_an_approval_of_something_else_does_not_count(desk: Desk) -> None:
    first = await desk.waiting()
    second = await desk.waiting()
    assert first.frozen is not None
    assert second.frozen is not None
    said = desk.signers["morgan"].say(first.frozen)
    with pytest.raises(RefusedError, match="is not over these bytes"):
        await desk.word(second, "morgan", proof=said.proof)
    with pytest.raises(ConflictError, match="look at it again"):
        await desk.word(second, "morgan", digest=first.frozen.digest)


async def test_nothing_is_approved_before_it_is_frozen(desk: Desk) -> None:
    waiting = await desk.waiting()
    building = await desk.ask()
    assert waiting.frozen is not None
    with pytest.raises(ConflictError, match="is building, not waiting"):
        await desk.word(msgspec.structs.replace(building, frozen=waiting.frozen), "morgan")


async def test_a_new_commit_voids_what_waits_and_its_approvals(desk: Desk) -> None:
    record = await desk.waiting()
    await desk.word(record, "morgan")
    desk.repository.commit_to("main", "two")
    await desk.advance.step()
    found = await desk.found(record)
    assert found.state == "voided"
    assert "main has moved to" in found.why
    assert await desk.state_of(record.stage2_task_id) == "exception"
    assert await desk.audited("operations.changed") == ["refused"]


async def test_a_changed_configuration_voids_what_waits(desk: Desk, engine: Engine, tmp_path: Path) -> None:
    record = await desk.waiting()
    await desk.word(record, "morgan")
    other = operation(stage1={"command": [["python3", "other.py"]]})
    later = Desk(
        engine,
        desk.directory,
        desk.signers,
        msgspec.structs.replace(desk.told, operations={other.name: other}),
    )
    later.run, later.people = desk.run, desk.people
    await later.advance.step()
    found = await later.found(record)
    assert (found.state, found.why) == (
        "voided",
        "the operation's configuration has changed since it was asked for",
    )


async def test_a_rerun_of_stage_one_voids_what_was_frozen(desk: Desk) -> None:
    record = await desk.waiting()
    await desk.word(record, "morgan")
    await desk.lifecycle.act(await root(desk), "rerun", record.stage1_task_id, NOW)
    await desk.advance.step()
    found = await desk.found(record)
    assert (found.state, found.why) == ("voided", "stage 1 was run again after the request was frozen")


async def test_an_approval_expires(desk: Desk) -> None:
    record = await desk.waiting()
    desk.later(hours=24)
    await desk.advance.step()
    assert (await desk.found(record)).state == "expired"
    assert await desk.state_of(record.stage2_task_id) == "exception"


async def test_one_rejection_ends_it(desk: Desk) -> None:
    record = await desk.waiting()
    await desk.word(record, "alex", "reject")
    await desk.advance.step()
    found = await desk.found(record)
    assert (found.state, found.why) == ("rejected", "rejected by alex")
    with pytest.raises(ConflictError, match="is rejected, not waiting"):
        await desk.word(record, "morgan")


async def test_a_poisoned_file_ends_the_operation_with_the_file_and_the_rule(desk: Desk) -> None:
    record = await desk.ask()
    await desk.build(record, {"artifacts/dist/w.whl": b"PK\x03\x04", "artifacts/evil.sh": b"#!/bin/sh"})
    await desk.advance.step()
    found = await desk.found(record)
    assert (found.state, found.why) == (
        "refused",
        "contract-names: evil.sh: no item of the contract has such a name",
    )


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"ref": "other"}, Exception, "takes main, got 'other'"),
        ({"input": {"version": 1}}, InputValidationError, "does not fit the hook's triggerSchema"),
        ({"input": {"version": "1", "more": 1}}, InputValidationError, "does not fit"),
        ({"revision": "b" * 40}, ConflictError, "look again and repeat"),
        ({"operation": "other"}, Exception, "is not configured; there are: publish-widget"),
        ({"input": {"version": "x" * 70_000}}, InputValidationError, "at most 65536 bytes"),
    ],
)
async def test_a_request_that_makes_no_sense_starts_nothing(
    desk: Desk, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await desk.ask(**changes)
    assert await desk.store.unfinished(0, 10) == []


async def test_a_branch_that_moves_later_changes_nothing_of_what_was_asked(desk: Desk) -> None:
    first = desk.repository.branches["main"]
    record = await desk.ask()
    desk.repository.commit_to("main", "two")
    [task] = await desk.tasks.stored([record.stage1_task_id])
    assert task.document["payload"]["inputs"][0]["git"]["revision"] == first == record.revision


async def test_a_repeated_request_finds_the_first_one(desk: Desk) -> None:
    one = await desk.ask(key="k")
    again: OperationRecord = await desk.ask(key="k")
    assert again.operation_id == one.operation_id
    with pytest.raises(ConflictError, match="it was used for another request"):
        await desk.ask(key="k", input={"version": "2.0"})


async def test_two_people_have_to_approve_where_two_are_needed(engine: Engine, tmp_path: Path) -> None:
    desk = await Desk.make(engine, tmp_path, approvals={"need": 2})
    record = await desk.waiting()
    await desk.word(record, "morgan")
    with pytest.raises(ConflictError, match="has spoken on"):
        await desk.word(record, "morgan")
    await desk.advance.step()
    assert (await desk.found(record)).state == "waiting"
    await desk.word(record, "alex")
    await desk.advance.step()
    assert (await desk.found(record)).state == "scheduled"
    assert desk.clock.now() - NOW < timedelta(hours=1)


async def test_a_pull_requests_head_that_moves_voids_what_waits(engine: Engine, tmp_path: Path) -> None:
    desk = await Desk.make(
        engine,
        tmp_path,
        stage2={"kind": "commit-files"},
        pullRequests=True,
        contract={"files": [{"names": "dist/*.whl", "least": 1}]},
    )
    desk.repository.pulls[7] = "c" * 40
    record = await desk.ask(ref="refs/pull/7/head")
    assert record.revision == "c" * 40
    await desk.build(record)
    await desk.advance.step()
    waiting = await desk.found(record)
    assert waiting.state == "waiting", waiting.why
    await desk.word(waiting, "morgan")
    desk.repository.pulls[7] = "d" * 40
    await desk.advance.step()
    voided = await desk.found(record)
    assert (voided.state, voided.why) == (
        "voided",
        f"refs/pull/7/head has moved to {'d' * 40}: what was frozen is {'c' * 40}",
    )
    with pytest.raises(ConflictError, match="is at d"):
        await desk.ask(ref="refs/pull/7/head", revision="c" * 40)


async def test_an_operation_that_takes_no_pull_requests_takes_none(desk: Desk) -> None:
    desk.repository.pulls[7] = "c" * 40
    with pytest.raises(InputInvalidError, match="pull requests from forks only with pullRequests: true"):
        await desk.ask(ref="refs/pull/7/head")
