"""A control plane that went bad hands something to the privileged worker, which decides for itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from admission_world import NAME, WHEEL, Handoff, asked, changed, other_pool
from fakes.certified_signer import KnownPools, Pool
from liftlock.domain.approvals.request import FrozenFile
from liftlock.domain.operations.admission import Admitted
from liftlock.domain.operations.definition import Operation, OperationSet
from liftlock.domain.operations.freezing import Broken
from liftlock.domain.operations.stage_one import compiled, stage_one_task
from operation_builders import NOW, STAGE1, Signer, operation, people


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def morgan(keys: Path) -> Signer:
    return Signer.make("morgan", keys)


@pytest.fixture
def handoff(morgan: Signer) -> Handoff:
    return Handoff(morgan)


def test_a_handoff_that_holds_is_admitted(handoff: Handoff) -> None:
    found = handoff.admit()
    assert isinstance(found, Admitted)
    assert list(found.tally.approved) == ["morgan"]


def test_a_bad_control_plane_cannot_do_without_approvals(handoff: Handoff) -> None:
    assert handoff.rule(approvals=[]) == "approvals"


def test_a_bad_control_plane_cannot_sign_for_an_approver(handoff: Handoff, keys: Path) -> None:
    forged = msgspec.structs.replace(
        handoff.approve(handoff.freeze())[0], proof=Signer.make("mallory", keys).sign(b"anything")
    )
    attested = msgspec.structs.replace(forged, method="control-plane-attested", proof="")
    assert handoff.rule(approvals=[forged, attested]) == "approvals"


def test_a_bad_control_plane_cannot_name_approvers_of_its_own(handoff: Handoff, keys: Path) -> None:
    mallory = Signer.make("mallory2", keys)
    assert handoff.rule(approvals=[mallory.say(handoff.freeze())]) == "approvals"


def test_the_requester_cannot_be_the_approver_whoever_says_so(morgan: Signer) -> None:
    handoff = Handoff(morgan)
    request = changed(handoff.freeze(), requester="people/morgan")
    assert handoff.rule(request, [morgan.say(request)]) in ("task", "approvals")


@pytest.mark.parametrize(
    "change",
    [
        {"input": {"version": "6.6.6"}},
        {"revision": "b" * 40},
        {"ref": "other"},
        {"identity": "https://github.com/evil/widget"},
        {"project": "other"},
        {"operation_id": "D" * 8 + "QAC" + "A" * 11},
        {"contract": ("anything",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_bad_control_plane_cannot_change_what_was_approved(
    handoff: Handoff, change: dict[str, Any]
) -> None:
    """Not with the old approval, and not with a new one either: what ran was for something else."""
    request = changed(handoff.freeze(), **change)
    assert handoff.rule(request) in ("task", "digest", "ref")
    assert handoff.rule(request, handoff.approve(handoff.freeze())) in ("task", "digest", "ref", "approvals")


def test_a_bad_control_plane_cannot_let_fewer_or_other_files_cross(handoff: Handoff) -> None:
    request = handoff.freeze()
    fewer = changed(request, stage1=msgspec.structs.replace(request.stage1, files=()))
    assert handoff.rule(fewer, files={}) == "digest"
    other = FrozenFile("dist/w.whl", "f" * 64, len(WHEEL))
    swapped = changed(request, stage1=msgspec.structs.replace(request.stage1, files=(other,)))
    assert handoff.rule(swapped) == "digest"


def test_a_poisoned_artifact_does_not_cross(handoff: Handoff) -> None:
    assert handoff.rule(files={NAME: WHEEL + b" and more"}) == "digest"
    assert handoff.rule(files={}) == "digest"


def test_an_approval_is_for_one_operation_and_one_stage_two(handoff: Handoff) -> None:
    assert handoff.rule(task_id="E" * 8 + "QAC" + "A" * 11) == "stage2"


def test_an_operation_changed_by_whom_ever_is_not_performed(handoff: Handoff, morgan: Signer) -> None:
    for change in (
        {"stage1": {"command": [["sh", "-c", "curl evil"]]}},
        {"approvals": {"need": 0}},
        {"contract": {"files": [{"names": "**", "most": 100}]}},
        {"stage2": {"kind": "publish-distribution", "settings": {"upload": "https://evil"}}},
    ):
        other = Handoff(morgan, operation=operation(**change))
        assert other.rule(own=handoff.own) == "operation-version"
    assert handoff.rule(own=OperationSet({}, people(morgan))) == "operation"


def test_a_stage_one_that_was_not_the_configured_one_is_no_stage_one(handoff: Handoff) -> None:
    """The worker that ran it is honest, and so says what ran: another command, or another input."""
    right = stage_one_task(compiled(handoff.operation), handoff.asked, STAGE1, "people/robin", NOW)
    for wrong in (
        {**right, "payload": {**right["payload"], "command": [["sh", "-c", "curl evil"]]}},
        {**right, "scopes": [*right["scopes"], "secrets:get:*"]},
        {**right, "payload": {**right["payload"], "network": {"mode": "open"}}},
        stage_one_task(compiled(handoff.operation), asked(input={"version": "2"}), STAGE1, "x", NOW),
    ):
        assert handoff.rule(handoff.freeze(), chain=handoff.chain(wrong)) == "task"


def test_a_branch_moved_between_approval_and_run_changes_nothing_that_is_performed(handoff: Handoff) -> None:
    """Stage 1 read another revision than the one that was asked for: the chain of trust says so."""
    moved = {"name": "source", "kind": "git", "project": "widget", "commit": "b" * 40}
    for inputs in ([moved], [], [moved, {**moved, "commit": handoff.asked.revision}]):
        chain = handoff.chain(manifest={"inputs": inputs})
        assert handoff.rule(handoff.freeze(), chain=chain) == "task"


def test_a_chain_of_a_pool_that_may_not_build_is_refused(morgan: Signer) -> None:
    pool = other_pool()
    handoff = Handoff(morgan)
    good = handoff.freeze()
    stranger = Handoff(morgan, worker=pool.worker(), pools=KnownPools(Pool(), pool))
    assert stranger.rule(good, handoff.approve(good), stranger.chain()) == "pool"
    unknown = Handoff(morgan, worker=Pool("local/unknown").worker())
    assert unknown.rule(good, handoff.approve(good), unknown.chain()) == "chain"


def test_a_chain_by_a_revoked_key_or_of_a_failed_run_is_refused(morgan: Signer) -> None:
    handoff = Handoff(morgan)
    good = handoff.freeze()
    revoked = Handoff(morgan, pools=KnownPools(Pool(), revoked=frozenset({handoff.worker.key_id})))
    assert revoked.rule(good) == "chain"
    assert handoff.rule(good, chain=handoff.chain(outcome="failed")) == "chain"
    tampered = msgspec.structs.replace(handoff.chain(), content=handoff.chain().content + b" ")
    assert handoff.rule(good, chain=tampered) == "chain"


def test_a_level_that_stage_one_cannot_prove_is_refused(morgan: Signer) -> None:
    strict = operation(stage1={"command": [["python3", "build.py"]], "level": 3})
    handoff = Handoff(morgan, operation=strict)
    request = changed(
        Handoff(morgan).freeze(),
        operation_version=strict.version,
        hook_version=compiled(strict).definition.version,
    )
    assert handoff.rule(request, chain=handoff.chain()) == "level"


def leveled(stage2: int | None = None, scheduler: str = "liftlock-operations", **item: int) -> Operation:
    """An operation whose stage 2 is of a level, with more said of the files that cross."""
    files = [{"names": "dist/*.whl", "least": 1, "type": "zip", "maxBytes": 1000, **item}]
    return operation(
        stage1={"command": [["python3", "build.py"]], "schedulerId": scheduler},
        stage2={"kind": "publish-distribution"} | ({} if stage2 is None else {"level": stage2}),
        contract={"files": files},
    )


@pytest.mark.parametrize(
    ("higher", "proven"),
    [(leveled(3), 1), (leveled(2), 1), (leveled(None, "demo-level-3"), 1), (leveled(1, "demo-level-3"), 2),
     (leveled(3, fromLevel=2), 1)],
)  # fmt: skip
def test_what_a_lower_level_made_does_not_cross_to_a_higher_stage_two(
    morgan: Signer, higher: Operation, proven: int
) -> None:
    """The control plane has frozen it, and people have approved it: the privileged worker refuses the file all the same."""
    handoff = Handoff(morgan, operation=higher, worker=Pool(level=3).worker(level=proven))
    lower = leveled()
    request = changed(
        Handoff(morgan, operation=lower).freeze(),
        operation_version=higher.version,
        hook_version=compiled(higher).definition.version,
    )
    found = handoff.admit(request, chain=handoff.chain(level=proven))
    assert isinstance(found, Broken)
    assert (found.rule, found.path) == ("contract-level", "dist/w.whl")
    assert found.message.startswith(
        f"stage 1 proves level 1, and stage 2 is of level {higher.level}: what a lower level made is no input"
        if proven == 1
        else "stage 1 proves level 2, and stage 2 is of level 3"
    )


@pytest.mark.parametrize(
    "carrying",
    [
        leveled(3, fromLevel=1),
        leveled(2, fromLevel=1),
        leveled(None, "demo-level-3", fromLevel=1),
        leveled(1),
    ],
)
def test_a_contract_carries_what_a_lower_level_made(morgan: Signer, carrying: Operation) -> None:
    """Without this, the refusals above would prove nothing."""
    handoff = Handoff(morgan, operation=carrying, worker=Pool(level=3).worker(level=1))
    request = handoff.freeze()
    assert isinstance(handoff.admit(request), Admitted)
    said = any("carried from level 1" in line for line in request.contract)
    assert said is (carrying.contract.files[0].from_level == 1), "who approves reads it"


def test_a_bad_control_plane_cannot_let_the_contract_carry_more(morgan: Signer) -> None:
    other = Handoff(morgan, operation=leveled(3, fromLevel=1))
    assert other.rule(own=Handoff(morgan, operation=leveled(3)).own) == "operation-version"


def test_a_request_is_not_kept_alive_for_longer_than_configured(morgan: Signer) -> None:
    longer = Handoff(morgan, hours=25)
    assert longer.rule() == "expiry"
    assert Handoff(morgan).rule(now=NOW + timedelta(hours=24)) == "expired"
    assert Handoff(morgan).rule(now=NOW - timedelta(minutes=6)) == "expiry"


def test_one_rejection_is_enough_even_if_others_approved(handoff: Handoff, keys: Path) -> None:
    alex = Signer.make("alex", keys)
    request = handoff.freeze()
    own = OperationSet(handoff.own.operations, people(handoff.morgan, alex))
    said = [*handoff.approve(request), alex.say(request, "reject")]
    assert handoff.rule(request, said, own=own) == "rejected"


def test_a_contract_that_does_not_hold_is_refused_with_the_file_and_the_rule(morgan: Signer) -> None:
    handoff = Handoff(morgan)
    good = handoff.freeze()
    more = Handoff(morgan, files={NAME: WHEEL, "artifacts/evil.sh": b"#!/bin/sh"})
    found = more.admit(good, handoff.approve(good), more.chain())
    assert not isinstance(found, Admitted)
    assert (found.rule, found.path) == ("contract-names", "evil.sh")


def test_a_bad_control_plane_cannot_name_a_branch_or_a_pull_request_that_is_not_taken(
    handoff: Handoff, morgan: Signer
) -> None:
    for ref in ("release", "refs/pull/7/head", "refs/heads/main"):
        other = Handoff(morgan, asked=asked(ref=ref))
        assert other.rule() == "ref", ref
    assert isinstance(handoff.admit(), Admitted)
