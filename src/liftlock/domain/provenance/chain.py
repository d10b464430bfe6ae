"""The chain of trust of one run: what it was told, what it read, what it made; signed by its worker.

Version 1 of the field's format, with additions under `inputs` and `environment`.

Source: docs/reference/provenance.md#chain
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from liftlock.domain.provenance.certificates import LEVELS, PoolKey, WorkerCertificate, read_certificate
from liftlock.domain.provenance.keys import UntrustedError, is_signed, member
from liftlock.errors import InputInvalidError, MalformedPayloadError
from liftlock.values.instants import format_instant, parse_instant
from liftlock.values.json import decode

CHAIN_NAME: Final = "public/chain-of-trust.json"
SIGNATURE_NAME: Final = "public/chain-of-trust.json.sig"
VERSION: Final = 1
MAX_CHAIN_BYTES: Final = 64 << 20
RunOutcome = Literal["completed", "failed"]


class Output(msgspec.Struct, frozen=True):
    """One artifact as measured, uncompressed."""

    name: str
    sha256: str
    size: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of a run that it finished. `manifest`: the inputs manifest. `certificate`: an envelope."""

    task_id: str
    run_id: int
    task: dict[str, Any]
    worker_group: str
    worker_id: str
    pool: str
    level: int
    outcome: RunOutcome
    started: datetime
    finished: datetime
    outputs: tuple[Output, ...]
    manifest: dict[str, Any]
    limits: dict[str, Any]
    certificate: dict[str, Any]


class UsedCache(msgspec.Struct, frozen=True):
    """A writable cache that a run had: nobody verified what it held, and who wrote it was of `level`."""

    name: str
    level: int
    pool: str


class SignedChain(msgspec.Struct, frozen=True):
    """A chain whose signature and certificate are valid. `artifacts`: name → sha256."""

    task_id: str
    run_id: int
    task: dict[str, Any]
    outcome: str
    finished: datetime
    level: int
    artifacts: dict[str, str]
    inputs: tuple[dict[str, Any], ...]
    certificate: WorkerCertificate
    pool: PoolKey
    caches: tuple[UsedCache, ...] = ()


def chain_document(record: RunRecord) -> dict[str, Any]:
    """Return the chain as JSON; artifacts sorted by name."""
    return {
        "chainOfTrustVersion": VERSION,
        "artifacts": {
            one.name: {"sha256": one.sha256} for one in sorted(record.outputs, key=lambda one: one.name)
        },
        "task": _with_worker_type(record.task, record.pool),
        "taskId": record.task_id,
        "runId": record.run_id,
        "workerGroup": record.worker_group,
        "workerId": record.worker_id,
        "environment": {
            "pool": record.pool,
            "level": record.level,
            "outcome": record.outcome,
            "started": format_instant(record.started),
            "finished": format_instant(record.finished),
            "isolation": record.manifest.get("isolation", {}),
            "network": record.manifest.get("network", {}),
            "certificate": record.certificate,
        },
        "inputs": record.manifest.get("inputs", []),
        **{name: record.manifest[name] for name in ("image", "caches") if name in record.manifest},
    }


def _with_worker_type(task: dict[str, Any], pool: str) -> dict[str, Any]:
    """Return the task with its queue in the two older fields as well, which verifiers look for."""
    provisioner, _, worker_type = str(task.get("taskQueueId", pool)).partition("/")
    return {"provisionerId": provisioner, "workerType": worker_type} | task


def read_chain(content: bytes, signature: bytes, pools: tuple[PoolKey, ...]) -> SignedChain:
    """Return the chain that `content` is, once its certificate, validity and signature hold.

    Args:
        signature: 64 bytes, over exactly `content`.
        pools: The keys that are trusted to certify workers.
    Raises:
        UntrustedError: one of them does not hold; the message says which.
    """
    what = "chain of trust"
    said = _document(content, what)
    environment = member(said, "environment", dict, what)
    certificate, pool = read_certificate(environment.get("certificate"), pools)
    if not is_signed(certificate.public_key, signature, content):
        raise UntrustedError(
            f"{what}: the signature is not that of worker {certificate.worker_group}/{certificate.worker_id}"
            " over these bytes"
        )
    chain = _parsed(said, environment, certificate, pool)
    _check(said, environment, chain)
    return chain


def _document(content: bytes, what: str) -> dict[str, Any]:
    if len(content) > MAX_CHAIN_BYTES:
        raise UntrustedError(f"{what}: more than {MAX_CHAIN_BYTES} bytes")
    try:
        said = decode(content, what=what)
    except MalformedPayloadError as error:
        raise UntrustedError(error.message) from error
    if not isinstance(said, dict) or said.get("chainOfTrustVersion") != VERSION:
        raise UntrustedError(f"{what}: expected chainOfTrustVersion {VERSION}")
    return said


def _parsed(
    said: dict[str, Any], environment: dict[str, Any], certificate: WorkerCertificate, pool: PoolKey
) -> SignedChain:
    what = "chain of trust"
    artifacts = {
        name: member(one, "sha256", str, f"{what}.artifacts.{name}")
        for name, one in member(said, "artifacts", dict, what).items()
    }
    inputs = tuple(one for one in member(said, "inputs", list, what) if isinstance(one, dict))
    try:
        finished = parse_instant(member(environment, "finished", str, f"{what}.environment"), what="finished")
    except InputInvalidError as error:
        raise UntrustedError(f"{what}: {error.message}") from error
    return SignedChain(
        member(said, "taskId", str, what),
        member(said, "runId", int, what),
        member(said, "task", dict, what),
        member(environment, "outcome", str, f"{what}.environment"),
        finished,
        member(environment, "level", int, f"{what}.environment"),
        artifacts,
        inputs,
        certificate,
        pool,
        _caches(said),
    )


def _caches(said: dict[str, Any]) -> tuple[UsedCache, ...]:
    what = "chain of trust.caches"
    found = []
    for one in member(said, "caches", list, what) if "caches" in said else []:
        level = member(one, "level", int, what)
        if level not in LEVELS:
            raise UntrustedError(f"{what}: expected a level of 1 to 3")
        found.append(UsedCache(member(one, "name", str, what), level, member(one, "pool", str, what)))
    return tuple(found)


def _check(said: dict[str, Any], environment: dict[str, Any], chain: SignedChain) -> None:
    """Compare what the chain says of its worker with what the certificate says."""
    certificate = chain.certificate
    who = (said.get("workerGroup"), said.get("workerId"), environment.get("pool"))
    if who != (certificate.worker_group, certificate.worker_id, certificate.pool):
        raise UntrustedError(
            f"chain of trust: it names worker {who[0]}/{who[1]} of {who[2]}; its certificate is for"
            f" {certificate.worker_group}/{certificate.worker_id} of {certificate.pool}"
        )
    if not certificate.covers(chain.finished):
        raise UntrustedError(
            f"chain of trust: signed at {format_instant(chain.finished)}; the certificate is valid from"
            f" {format_instant(certificate.not_before)} until {format_instant(certificate.not_after)}"
        )
    for cache in chain.caches:
        if cache.pool != certificate.pool:
            raise UntrustedError(
                f"chain of trust: the cache {cache.name!r} is of pool {cache.pool}; the run was in {certificate.pool}"
            )
    if chain.outcome not in ("completed", "failed"):
        raise UntrustedError(f"chain of trust: a run that ended as {chain.outcome[:40]!r} has none")
