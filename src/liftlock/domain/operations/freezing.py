"""From a finished stage 1 to what may be approved: its signed chain of trust against what was asked and configured.

The control plane freezes by this, and the privileged worker decides by it again from its own configuration: neither
believes the other, and both have to come to the same digest.

Source: docs/reference/operations.md#freezing
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec

from liftlock.domain.approvals.request import FrozenFile, FrozenRequest, FrozenStage
from liftlock.domain.hooks.definition import CompiledHook
from liftlock.domain.operations.contract import PREFIX, Contract, Crossing, Violation, not_carried, violations
from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.stage_one import Asked, stage_one_task
from liftlock.domain.provenance.chain import SignedChain, read_chain
from liftlock.domain.provenance.keys import UntrustedError
from liftlock.domain.provenance.producers import Trust, check_key, proven_level
from liftlock.errors import LiftlockError
from liftlock.values.instants import parse_instant


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an operation before its stage 1 is looked at."""

    asked: Asked
    requester: str
    requested: datetime
    stage1_task_id: str
    stage2_task_id: str
    expires: datetime


class ChainBytes(msgspec.Struct, frozen=True):
    """The chain of trust of a run, and its signature, as they were fetched."""

    content: bytes
    signature: bytes


class Stored(msgspec.Struct, frozen=True):
    """What an artifact measures, uncompressed, as whoever holds it says."""

    sha256: str
    size: int


class Broken(msgspec.Struct, frozen=True):
    """Why nothing can be frozen: `rule` is permanent, `path` the file, if it is about one."""

    rule: str
    message: str
    path: str = ""


def freeze(
    operation: Operation,
    hook: CompiledHook,
    facts: Facts,
    chain_bytes: ChainBytes,
    stored: Mapping[str, Stored],
    trust: Trust,
) -> FrozenRequest | Broken:
    """Return the frozen request, or why there is none.

    Args:
        stored: Artifact → what is stored under that name.
        trust: Whose signatures count.
    """
    found = checked_chain(operation, hook, facts, chain_bytes, trust)
    if isinstance(found, Broken):
        return found
    crossing = crossings(found, stored)
    if isinstance(crossing, Broken):
        return crossing
    broken = violations(operation.contract, crossing) or not_carried(
        operation.contract, crossing, proven=proven_level(found), needed=operation.level
    )
    if broken:
        return _of(broken[0])
    asked = facts.asked
    return FrozenRequest(
        operation_id=asked.operation_id,
        operation=operation.name,
        operation_version=operation.version,
        hook_version=hook.definition.version,
        requester=facts.requester,
        requested=facts.requested,
        project=asked.project,
        identity=asked.identity,
        ref=asked.ref,
        revision=asked.revision,
        input=asked.input,
        stage1=_stage(found, chain_bytes, crossing),
        contract=_in_words(operation.contract),
        stage2_task_id=facts.stage2_task_id,
        expires=facts.expires,
    )


def _stage(chain: SignedChain, chain_bytes: ChainBytes, crossing: list[Crossing]) -> FrozenStage:
    return FrozenStage(
        task_id=chain.task_id,
        run_id=chain.run_id,
        chain_sha256=hashlib.sha256(chain_bytes.content).hexdigest(),
        pool=chain.certificate.pool,
        level=proven_level(chain),
        files=tuple(FrozenFile(one.path, one.sha256, one.size) for one in crossing),
    )


def checked_chain(
    operation: Operation, hook: CompiledHook, facts: Facts, chain_bytes: ChainBytes, trust: Trust
) -> SignedChain | Broken:
    """Return the chain if it is that of the configured stage 1, run by an allowed pool on what was asked; else why not."""
    try:
        chain = read_chain(chain_bytes.content, chain_bytes.signature, trust.valid_pools)
        check_key(chain, trust)
    except UntrustedError as error:
        return Broken("chain", error.message)
    if chain.task_id != facts.stage1_task_id:
        return Broken("chain", f"the chain of trust is that of task {chain.task_id}, not of stage 1")
    if chain.outcome != "completed":
        return Broken("chain", f"the run of stage 1 {chain.outcome}")
    if chain.certificate.pool != operation.stage1.queue:
        return Broken("pool", f"stage 1 ran in {chain.certificate.pool}, expected {operation.stage1.queue}")
    if proven_level(chain) < operation.stage1.level:
        return Broken(
            "level", f"stage 1 proves level {proven_level(chain)}, expected {operation.stage1.level}"
        )
    wrong = _task_differs(hook, facts, chain) or _revision_differs(facts.asked, chain)
    return Broken("task", wrong) if wrong else chain


def _task_differs(hook: CompiledHook, facts: Facts, chain: SignedChain) -> str:
    """Return how the task that ran differs from the one that is configured for what was asked; empty if it does not."""
    try:
        created = parse_instant(str(chain.task.get("created")), what="created")
        expected = stage_one_task(hook, facts.asked, facts.stage1_task_id, facts.requester, created)
    except LiftlockError as error:
        return f"stage 1 can't be made of the configuration: {error.message}"
    for key in sorted(set(expected) | set(chain.task)):
        if chain.task.get(key) != expected.get(key):
            return f"what ran is not the configured stage 1 for this request: its {key} differs"
    return ""


def _revision_differs(asked: Asked, chain: SignedChain) -> str:
    """Return what is wrong with the source that stage 1 read by its chain; empty if it is the revision asked for."""
    sources = [one for one in chain.inputs if one.get("name") == "source" and one.get("kind") == "git"]
    if len(sources) != 1:
        return f"its chain of trust names {len(sources)} sources, expected one"
    found = (sources[0].get("project"), sources[0].get("commit"))
    if found != (asked.project, asked.revision):
        return f"it read {str(found[1])[:64]} of {str(found[0])[:50]}, expected {asked.revision} of {asked.project}"
    return ""


def crossings(chain: SignedChain, stored: Mapping[str, Stored]) -> list[Crossing] | Broken:
    """Return the files that want to cross, sorted by path; Broken if one is not there as it was attested."""
    found = []
    for name in sorted(chain.artifacts):
        if not name.startswith(PREFIX):
            continue
        one, attested = stored.get(name), chain.artifacts[name]
        if one is None:
            return Broken("digest", "it is in the chain of trust and not among the artifacts", name)
        if one.sha256 != attested:
            return Broken(
                "digest", f"expected sha256 {attested} by the chain of trust, found {one.sha256}", name
            )
        found.append(Crossing(name.removeprefix(PREFIX), attested, one.size))
    return found


def _of(violation: Violation) -> Broken:
    return Broken(f"contract-{violation.rule}", violation.message, violation.path)


def _in_words(contract: Contract) -> tuple[str, ...]:
    return (
        *(
            f"{item.names}: {item.least} to {item.most} files of type {item.type}, each at most {item.max_bytes} bytes"
            + ("" if item.from_level is None else f", carried from level {item.from_level}")
            for item in contract.files
        ),
        f"at most {contract.max_total_bytes} bytes in all",
    )
