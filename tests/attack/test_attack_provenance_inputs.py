"""A worker that is fed with what nobody vouches for, in real sandboxes: no command runs (B4, B5, B7)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fakes.certified_signer import CertifiedSigner, KnownPools, Pool, produced
from liftlock.domain.inputs.policy import parse_policy
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, read_chain
from liftlock.domain.provenance.statement import STATEMENT_NAME
from worker_world import world

pytestmark = pytest.mark.process

MAKER, OTHER = "Qt3GMzT0Qq2rIcp0oYl9sA", "AAAAAAAAQ2qAAAAAAAAAAA"
MADE = "public/made"


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def left(**changes: Any) -> dict[tuple[str, str], bytes]:
    return produced(CertifiedSigner(), MAKER, {MADE: b"made"}, **changes)


def sabotaged(what: str) -> dict[tuple[str, str], bytes]:
    sound = left()
    match what:
        case "mutated artifact":
            return sound | {(MAKER, MADE): b"madf"}
        case "mutated signature":
            return sound | {(MAKER, SIGNATURE_NAME): flipped(sound[MAKER, SIGNATURE_NAME])}
        case "mutated chain":
            return sound | {
                (MAKER, CHAIN_NAME): sound[MAKER, CHAIN_NAME].replace(b"unprivileged", b"unprivilegeD")
            }
        case "chain of another task":
            foreign = produced(CertifiedSigner(), OTHER, {MADE: b"made"})
            return {(MAKER, name): data for (_, name), data in foreign.items()}
        case "chain of another run":  # its signature is valid; the artifact is what the later run made
            return produced(CertifiedSigner(), MAKER, {MADE: b"run 0"}) | {(MAKER, MADE): b"made by run 1"}
        case "chain of another pool":
            return produced(Pool("evil/pool").worker(), MAKER, {MADE: b"made"})
        case "no chain":
            return {(MAKER, MADE): b"made"}
        case "artifact not in the chain":
            return produced(CertifiedSigner(), MAKER, {"public/other": b"x"}) | {(MAKER, MADE): b"made"}
        case _:
            return left(level=1)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("mutated artifact", "observed"),
        ("mutated signature", "the signature is not that of worker"),
        ("mutated chain", "the signature is not that of worker"),
        ("chain of another task", f"is that of task {OTHER}"),
        ("chain of another run", "observed"),
        ("chain of another pool", "no trusted key of a pool"),
        ("no chain", "its last run did not finish"),
        ("artifact not in the chain", "has no artifact"),
        ("made at level 1", "what a lower level made is no input"),
    ],
)
async def test_an_input_that_nobody_vouches_for_ends_the_task_before_it_starts(
    tmp_path: Path, what: str, said: str
) -> None:
    one = {"name": "x", "task": {"id": MAKER, "artifact": MADE}, "mount": "/inputs/x"}
    async with world(tmp_path) as worker:
        worker.queue.others = sabotaged(what)
        payload = {"command": ["sh", "-ec", "echo ran"], "inputs": [one]}
        run, outcome = await worker.run(payload, schedulerId="demo-level-3")
        assert outcome == "malformed-payload"
        assert said in worker.queue.log_of(run)
        assert "ran" not in worker.log(run)
        names = {name for key, name in worker.queue.artifacts if key == run}
        assert not names & {CHAIN_NAME, SIGNATURE_NAME, STATEMENT_NAME}, "an unfinished run has a chain"
        assert "x" in json.loads(worker.queue.artifacts[run, "public/inputs.json"])["failed"]["name"]


async def test_a_finished_run_is_signed_with_what_it_read(tmp_path: Path) -> None:
    one = {"name": "x", "task": {"id": MAKER, "artifact": MADE}, "mount": "/inputs/x"}
    async with world(tmp_path) as worker:
        worker.queue.others = left()
        payload = {"command": ["sh", "-ec", "cat /inputs/x"], "inputs": [one]}
        run, outcome = await worker.run(payload, schedulerId="demo-level-3")
        assert outcome == "completed"
        content, signature = (worker.queue.artifacts[run, name] for name in (CHAIN_NAME, SIGNATURE_NAME))
        chain = read_chain(content, signature, KnownPools().trust.pools)
        assert (chain.outcome, chain.level, chain.task_id) == ("completed", 3, run.task_id)
        [read] = chain.inputs
        assert (read["producer"]["taskId"], read["producer"]["level"]) == (MAKER, 3)


async def test_upstream_artifacts_are_verified_as_any_input(tmp_path: Path) -> None:
    upstream = [{"taskId": MAKER, "taskType": "build", "paths": [MADE], "formats": []}]
    payload = {"command": ["sh", "-ec", f"cat cot/{MAKER}/{MADE}; echo ran"], "upstreamArtifacts": upstream}
    async with world(tmp_path) as worker:
        worker.queue.others = left()
        run, outcome = await worker.run(payload, schedulerId="demo-level-3")
        assert outcome == "completed"
        assert worker.log(run).startswith("made")
        worker.queue.others = sabotaged("chain of another task")
        run, outcome = await worker.run(payload, schedulerId="demo-level-3")
        assert outcome == "malformed-payload"
        assert f"is that of task {OTHER}" in worker.queue.log_of(run)
        assert "ran" not in worker.log(run)


async def test_an_input_of_a_pool_that_the_policy_does_not_name_ends_the_task(tmp_path: Path) -> None:
    one = {"name": "x", "task": {"id": MAKER, "artifact": MADE}, "mount": "/inputs/x"}
    async with world(tmp_path, policy=parse_policy('[producers]\n3 = ["release/build"]')) as worker:
        worker.queue.others = left()
        payload = {"command": ["sh", "-ec", "echo ran"], "inputs": [one]}
        run, outcome = await worker.run(payload, schedulerId="demo-level-3")
        assert outcome == "malformed-payload"
        assert "for level 3 only release/build may produce inputs" in worker.queue.log_of(run)


async def test_a_run_that_is_handed_back_has_no_chain(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        run = worker.add({"command": ["sleep", "600"]})
        while not worker.queue.live:  # noqa: ASYNC110 -- the fake has no event for it
            await asyncio.sleep(0.02)
        await worker.end()
        assert (run, "worker-shutdown") in worker.queue.reports
        assert {name for key, name in worker.queue.artifacts if key == run} <= {
            "public/logs/live_backing.log"
        }


@pytest.mark.parametrize("reserved", [CHAIN_NAME, SIGNATURE_NAME, STATEMENT_NAME])
async def test_a_task_that_declares_an_artifact_of_the_workers_name_is_malformed(
    tmp_path: Path, reserved: str
) -> None:
    async with world(tmp_path) as worker:
        artifact = {"name": reserved, "path": "x", "type": "file"}
        run, outcome = await worker.shell("echo forged >x", artifacts=[artifact])
        assert outcome == "malformed-payload"
        assert (run, reserved) not in worker.queue.artifacts
