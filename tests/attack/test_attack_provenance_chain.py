"""Chains of trust under attack: each forgery is red, and says why (B4, B5, B7, B9)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fakes.certified_signer import Pool, private_key, public_bytes, task
from liftlock.domain.provenance.certificates import WorkerCertificate
from liftlock.domain.provenance.chain import RunRecord, chain_document
from liftlock.values.json import encode
from provenance_world import BUILD, DECISION, SIGNING, WHEEL, ChainWorld, digest, reds, replaced


@pytest.mark.parametrize("source", ["git", "hg"])
def test_an_honest_chain_is_green_from_artifact_to_push(source: str) -> None:
    world = ChainWorld(source=source)
    walk = world.walk()
    assert (walk.holds, walk.level, reds(walk)) == (True, 3, [])
    assert {check.link for check in walk.checks} == {"run", "artifact", "input", "graph", "decision", "push"}


def test_a_mutated_artifact_is_red() -> None:
    world = ChainWorld()
    world.observed = {"public/signed": digest(b"Signed")}
    expected, observed = digest(b"signed"), digest(b"Signed")
    assert reds(world.walk()) == [f"artifact: mutated: expected sha256 {expected}, observed {observed}"]


def test_an_artifact_that_was_added_after_the_run_is_red() -> None:
    world = ChainWorld()
    world.observed = {"public/more": "0" * 64}
    assert reds(world.walk()) == ["artifact: the chain of trust does not have it: nobody attested it"]


def test_a_mutated_task_definition_is_red_although_its_graph_would_accept_it() -> None:
    world = ChainWorld()
    world.tasks[SIGNING]["payload"]["command"] = ["sh", "-c", "evil"]
    [red] = reds(world.walk())
    assert red.startswith(f"graph: {DECISION} did not generate it as it is: public/task-graph.json: ")
    assert "payload.command: not as generated" in red


@pytest.mark.parametrize(
    ("key", "value"), [("scopes", ["secrets:get:release"]), ("routes", ["index.x"]), ("priority", "highest")]
)
def test_a_task_with_more_than_was_generated_is_red(key: str, value: object) -> None:
    world = ChainWorld()
    del world.generated[SIGNING]["task"]["scopes"]
    world.tasks[SIGNING][key] = value
    [red] = reds(world.walk())
    assert f"{key}: not generated, and the task has it" in red


def test_a_task_that_also_depends_on_a_foreign_task_is_red() -> None:
    world = ChainWorld()
    world.tasks[SIGNING]["dependencies"] = [DECISION, "XXXXXXXXQ2qAAAAAAAAAAA"]
    [red] = reds(world.walk())
    assert "dependencies: generated" in red


def test_a_mutated_signature_is_red() -> None:
    world = ChainWorld()
    evidence = world.evidence()
    run = evidence.run(SIGNING)
    assert run is not None
    flipped = bytes([run.signature[0] ^ 1]) + run.signature[1:]
    [red] = reds(world.walk(replaced(evidence, SIGNING, signature=flipped)))
    assert "the signature is not that of worker local/w over these bytes" in red


def test_one_changed_byte_of_a_chain_is_red() -> None:
    world = ChainWorld()
    evidence = world.evidence()
    run = evidence.run(SIGNING)
    assert run is not None
    changed = run.chain.replace(digest(b"signed").encode(), digest(b"Signed").encode())
    assert changed != run.chain
    [red] = reds(world.walk(replaced(evidence, SIGNING, chain=changed)))
    assert "over these bytes" in red


def test_a_mutated_graph_is_red() -> None:
    world = ChainWorld()
    evidence = world.evidence()
    graph = json.loads(json.dumps(world.generated).replace(BUILD, "B" * 22))
    walk = world.walk(replaced(evidence, DECISION, documents={"public/task-graph.json": encode(graph)}))
    assert any(red.startswith("graph: public/task-graph.json mutated: expected sha256") for red in reds(walk))


def test_a_chain_of_another_task_is_red() -> None:
    world = ChainWorld()
    evidence = world.evidence()
    other = evidence.run(BUILD)
    assert other is not None
    [red] = reds(world.walk(replaced(evidence, SIGNING, chain=other.chain, signature=other.signature)))
    assert red == f"run: the chain of trust is that of task {BUILD}"


def test_a_chain_of_another_run_with_other_bytes_is_red() -> None:
    """The consumer read what run 0 made; the evidence has run 1, which made something else."""
    world = ChainWorld()
    world.evidence()
    world.wheel = b"another wheel"
    world.more[BUILD] = {"run_id": 1}
    [red] = reds(world.walk())
    made, read = digest(b"another wheel"), digest(b"the wheel")
    assert red == f"input: wheel is {WHEEL} of {BUILD}: made as {made}, read as {read}"


def test_a_chain_by_a_pool_that_nobody_trusts_is_red() -> None:
    world = ChainWorld()
    world.signers[BUILD] = Pool("evil/pool").worker()
    [red] = reds(world.walk())
    assert "which is no trusted key of a pool" in red


def test_a_worker_key_that_is_not_certified_is_red() -> None:
    world = ChainWorld()
    signer = world.pool.worker()
    signer.private = private_key("somebody else's")
    world.signers[SIGNING] = signer
    [red] = reds(world.walk())
    assert "the signature is not that of worker local/w" in red


def test_a_certificate_that_a_worker_wrote_itself_is_red() -> None:
    world = ChainWorld()
    forger = Pool("local/unprivileged")
    forger.private = private_key("a worker's own")
    signer = forger.worker()
    world.signers[SIGNING] = signer
    [red] = reds(world.walk())
    assert "certificate: not signed by key" in red


def test_an_expired_certificate_is_red() -> None:
    world = ChainWorld()
    lifetime = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 12, tzinfo=UTC))
    world.signers[BUILD] = world.pool.worker(lifetime=lifetime)
    [red] = reds(world.walk())
    assert (
        "signed at 2026-01-01T12:00:00.000Z; the certificate is valid from 2025-01-01T00:00:00.000Z until"
        in red
    )


def test_a_certificate_for_another_worker_is_red() -> None:
    world = ChainWorld()
    world.more[SIGNING] = {"worker_id": "trusted-machine"}
    [red] = reds(world.walk())
    assert (
        "it names worker local/trusted-machine of local/unprivileged; its certificate is for local/w" in red
    )


def test_a_certificate_for_another_pool_than_its_signers_is_red() -> None:
    world, other = ChainWorld(), Pool("other/pool", level=3)
    world.trusted.append(other.key)
    signer = other.worker()
    signer.envelope = other.certify(
        WorkerCertificate("local/unprivileged", 3, "local", "w", signer.public, *_always())
    )
    world.signers[SIGNING] = signer
    [red] = reds(world.walk())
    assert "it is for pool local/unprivileged, but signed by the key of pool other/pool" in red


def test_a_certificate_for_more_than_its_pool_vouches_for_is_red() -> None:
    world, low = ChainWorld(), Pool("low/pool", level=1)
    world.trusted.append(low.key)
    signer = low.worker(level=3)
    world.signers[SIGNING] = signer
    [red] = reds(world.walk())
    assert "it claims level 3; pool low/pool vouches for level 1 at most" in red


def test_a_level_1_input_in_a_level_3_chain_is_red_although_every_signature_is_valid() -> None:
    [red] = reds(ChainWorld(level=3, build_level=1).walk())
    assert red == (
        f"input: task {BUILD} is of level 1, and its consumer of level 3: what a lower level made is no input"
        " (every signature is valid)"
    )


def test_an_input_by_a_worker_of_a_level_1_pool_is_red_in_a_level_3_chain() -> None:
    world, low = ChainWorld(), Pool("low/pool", level=1)
    world.trusted.append(low.key)
    world.signers[BUILD] = low.worker()
    [red] = reds(world.walk())
    assert f"input: task {BUILD} is of level 1, and its consumer of level 3" in red


def test_an_input_of_a_pool_that_policy_does_not_name_is_red() -> None:
    [red, *_] = reds(ChainWorld().walk(producers={3: ("release/only",)}))
    assert "for level 3 only release/only may produce inputs" in red


def test_a_revoked_key_is_red_for_what_it_signed_before() -> None:
    world = ChainWorld()
    revoked = world.pool.worker().held.key_id
    assert all("is revoked" in red for red in reds(world.walk(revoked=frozenset({revoked}))))
    assert reds(world.walk(revoked=frozenset({world.pool.key.id})))


@pytest.mark.parametrize("source", ["git", "hg"])
def test_a_decision_of_another_push_is_red(source: str) -> None:
    world = ChainWorld(source=source)
    world.push["revision"] = "ab" * 20
    assert any("the decision read widget@" in red for red in reds(world.walk()))


@pytest.mark.parametrize("source", ["git", "hg"])
def test_a_checkout_of_another_revision_than_was_declared_is_red(source: str) -> None:
    world = ChainWorld(source=source)
    [measured] = world.inputs[BUILD]
    world.inputs[BUILD] = [{**measured, "commit": "ab" * 20}]
    assert any(f"read {'ab' * 20}" in red for red in reds(world.walk()))


def test_a_push_of_a_lower_level_is_red() -> None:
    world = ChainWorld()
    world.push["level"] = 1
    assert reds(world.walk()) == ["push: the project is of level 1; the chain needs 3"]


def test_a_push_record_that_claims_a_higher_level_lifts_nothing() -> None:
    world = ChainWorld(level=1)
    world.push["level"] = 3
    walk = world.walk()
    assert (walk.holds, walk.level) == (True, 1)


def test_a_group_that_no_push_started_is_red() -> None:
    world = ChainWorld()
    world.push["taskId"] = BUILD
    assert any("the push started task" in red for red in reds(world.walk()))


def test_an_input_that_was_read_and_not_declared_is_red() -> None:
    world = ChainWorld()
    world.evidence()
    file = {"name": "x", "sha256": "0" * 64, "size": 1}
    world.inputs[SIGNING].append({"name": "extra", "kind": "url", "files": [file]})
    assert reds(world.walk()) == ["input: extra: read, and the task does not declare it"]


def test_an_input_of_another_task_than_declared_is_red() -> None:
    world = ChainWorld()
    world.tasks[SIGNING]["payload"]["inputs"][0]["task"]["id"] = DECISION
    assert any(f"declared of task {DECISION}, read of {BUILD}" in red for red in reds(world.walk()))


def test_a_task_that_names_an_ordinary_task_as_its_maker_is_red() -> None:
    world = ChainWorld()
    world.tasks[SIGNING]["extra"] = {"parent": BUILD}
    assert f"graph: it claims to be made by {BUILD}, which decides on nothing" in reds(world.walk())


def test_chains_that_come_of_each_other_end_the_walk_red() -> None:
    world = ChainWorld()
    world.tasks[SIGNING]["extra"] = {"parent": SIGNING}
    assert f"graph: it claims to be made by {SIGNING}, which comes of itself" in reds(world.walk())


@pytest.mark.parametrize("outcome", ["exception", "worker-shutdown", "running"])
def test_a_signed_chain_of_an_unfinished_run_is_red(outcome: str) -> None:
    world = ChainWorld()
    world.more[BUILD] = {"outcome": outcome}
    [red] = reds(world.walk())
    assert red == f"run: chain of trust: a run that ended as {outcome!r} has none"


def test_a_failed_run_is_red() -> None:
    world = ChainWorld()
    world.more[BUILD] = {"outcome": "failed"}
    assert any(red.endswith("the run failed") for red in reds(world.walk()))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"[" * 100_000, b'{"chainOfTrustVersion": 2}', b"\xff"]
)
def test_bytes_that_are_no_chain_are_red_and_nothing_worse(content: bytes) -> None:
    world = ChainWorld()
    [red] = reds(world.walk(replaced(world.evidence(), SIGNING, chain=content)))
    assert red.startswith("run: ")


def _always() -> tuple[datetime, datetime]:
    return datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


def test_hostile_texts_in_a_definition_do_not_break_the_walk() -> None:
    world = ChainWorld()
    world.tasks[SIGNING] |= {"extra": {"parent": [1], "tasks_for": {}, "action": "x"}, "metadata": []}
    world.generated[SIGNING]["task"] |= {
        "extra": {"parent": [1], "tasks_for": {}, "action": "x"},
        "metadata": [],
    }
    assert reds(world.walk()) == []


def test_the_record_that_is_signed_is_exactly_what_the_worker_knows() -> None:
    record = RunRecord(
        task_id=BUILD,
        run_id=2,
        task=task(),
        worker_group="g",
        worker_id="w",
        pool="p/q",
        level=3,
        outcome="completed",
        started=datetime(2026, 1, 1, tzinfo=UTC),
        finished=datetime(2026, 1, 2, tzinfo=UTC),
        outputs=(),
        manifest={},
        limits={},
        certificate={},
    )
    said = chain_document(record)
    assert (said["taskId"], said["runId"], said["workerGroup"], said["workerId"]) == (BUILD, 2, "g", "w")
    assert said["task"]["workerType"] == "unprivileged"
    assert len(public_bytes(private_key("x"))) == 32
