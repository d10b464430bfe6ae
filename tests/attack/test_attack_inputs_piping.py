"""Piped inputs whose producer is not what the label says, or whose output is another artifact (B4, B8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.certified_signer import CertifiedSigner, produced, task
from provenance_world import BUILD, SIGNING, WHEEL, ChainWorld, reds
from worker_world import world

MAKER, OTHER = "Qt3GMzT0Qq2rIcp0oYl9sA", "DDDDDDDDQ2qAAAAAAAAAAA"
READ = {"name": "x", "task": {"label": "build"}, "output": "wheel", "mount": "/inputs/x"}


def made(task_id: str, label: str, outputs: dict[str, str]) -> dict[tuple[str, str], bytes]:
    """What a run leaves whose definition has that label and those outputs."""
    definition = task(3, metadata={"name": label}, payload={"outputs": outputs})
    return produced(CertifiedSigner(), task_id, {"public/w": b"wheel", "public/v": b"v"}, task=definition)


async def run(tmp_path: Path, others: dict[tuple[str, str], bytes], *dependencies: str) -> tuple[str, str]:
    """Run a task that pipes; return how it ended and its log."""
    async with world(tmp_path) as worker:
        worker.queue.others = others
        payload = {"command": ["sh", "-ec", "cat /inputs/x; echo ran"], "inputs": [READ]}
        more = {"schedulerId": "demo-level-3", "dependencies": list(dependencies)}
        one, outcome = await worker.run(payload, **more)
        return outcome, worker.queue.log_of(one)


@pytest.mark.process
async def test_an_output_is_read_from_the_dependency_with_its_label(tmp_path: Path) -> None:
    others = made(MAKER, "build", {"wheel": "public/w"}) | made(OTHER, "other", {"wheel": "public/v"})
    outcome, log = await run(tmp_path, others, OTHER, MAKER)
    assert outcome == "completed"
    assert "wheel" in log


@pytest.mark.process
@pytest.mark.parametrize(
    ("others", "dependencies", "said"),
    [
        (made(MAKER, "build", {"wheel": "public/w"}), (), "no dependency is called 'build'"),
        (made(MAKER, "other", {"wheel": "public/w"}), (MAKER,), "no dependency is called 'build'"),
        (made(MAKER, "build", {"whl": "public/w"}), (MAKER,), "declares no output 'wheel'"),
        (made(MAKER, "build", {"wheel": "public/gone"}), (MAKER,), "has no artifact 'public/gone'"),
        ({}, (MAKER,), "its last run did not finish"),
    ],
    ids=["no dependency", "another label", "no such output", "output never made", "no chain"],
)
async def test_a_pipe_that_no_signed_chain_bears_out_ends_the_task_before_it_starts(
    tmp_path: Path, others: dict[tuple[str, str], bytes], dependencies: tuple[str, ...], said: str
) -> None:
    outcome, log = await run(tmp_path, others, *dependencies)
    assert outcome == "malformed-payload"
    assert said in log
    assert "ran" not in log


def piped() -> ChainWorld:
    """A sound world whose signing reads the build's output by name."""
    sound = ChainWorld()
    build = sound.tasks[BUILD]
    build["metadata"] = {**build.get("metadata", {}), "name": "build"}
    build["payload"]["outputs"] = {"wheel": WHEEL}
    sound.tasks[SIGNING]["dependencies"] = [BUILD]
    sound.tasks[SIGNING]["payload"] = {"inputs": [{**READ, "name": "wheel"}]}
    refresh(sound)
    return sound


def refresh(sound: ChainWorld) -> None:
    for each in (BUILD, SIGNING):
        generated: dict[str, Any] = sound.generated[each]["task"]
        for field in ("metadata", "payload", "dependencies"):
            if field in sound.tasks[each]:
                generated[field] = sound.tasks[each][field]


def test_a_piped_chain_is_green() -> None:
    assert reds(piped().walk()) == []


def test_a_piped_input_of_a_task_that_is_no_dependency_is_red() -> None:
    moved = piped()
    moved.tasks[SIGNING]["dependencies"] = []
    refresh(moved)
    assert f"input: wheel: declared of a dependency, read of {BUILD}, which is none" in reds(moved.walk())


def test_a_piped_input_that_is_another_artifact_of_its_producer_is_red() -> None:
    swapped = piped()
    swapped.tasks[BUILD]["payload"]["outputs"] = {"wheel": "public/other"}
    refresh(swapped)
    assert f"input: output wheel is public/other, read {WHEEL}" in reds(swapped.walk())


def test_a_piped_input_of_a_producer_with_another_label_is_red() -> None:
    renamed = piped()
    renamed.tasks[BUILD]["metadata"]["name"] = "other"
    refresh(renamed)
    assert any("no dependency is called 'build'" in red for red in reds(renamed.walk()))
