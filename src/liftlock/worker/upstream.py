"""What other tasks made, believed only as far as their workers' signed chains say.

Source: docs/reference/provenance.md#inputs
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.piping import Pipe, check_pipes, outputs_of
from liftlock.domain.provenance.chain import (
    CHAIN_NAME,
    MAX_CHAIN_BYTES,
    SIGNATURE_NAME,
    SignedChain,
    read_chain,
)
from liftlock.domain.provenance.keys import SIGNATURE_BYTES, UntrustedError
from liftlock.domain.provenance.producers import (
    Producer,
    artifact_digest,
    check_key,
    check_producer,
    proven_level,
)
from liftlock.errors import NotFoundError
from liftlock.ports.input_store import InputRejectedError
from liftlock.ports.queue_client import QueueClient
from liftlock.ports.trusted_keys import TrustedKeys


class Upstream:
    """Implements `worker.fetching.Producers`: verifies producers for one run of level `level`; every request is limited to `scopes`.

    `pools`: the only ones whose tasks may make what this run reads; None: every pool that vouches for its level.
    """

    def __init__(
        self,
        *,
        queue: QueueClient,
        trusted: TrustedKeys,
        credentials: Callable[[], Credentials],
        scopes: tuple[str, ...],
        level: int,
        pools: tuple[str, ...] | None = None,
        dependencies: tuple[str, ...] = (),
    ) -> None:
        self._queue = queue
        self._trusted = trusted
        self._credentials = credentials
        self._scopes = scopes
        self._level = level
        self._producers = {} if pools is None else {level: pools}
        self._dependencies = dependencies
        self._chains: dict[str, tuple[SignedChain, str]] = {}

    async def producer(self, task_id: str, artifact: str) -> Producer:
        """Return who made the artifact of the task's last run, and what it must measure.

        Raises:
            InputRejectedError: there is no chain that counts, it has no such artifact, or its level is too low.
            QueueUnavailableError: the control plane gave no usable answer.
        """
        try:
            chain, chain_sha256 = await self._chain(task_id)
            trust = msgspec.structs.replace(self._trusted.current(), producers=self._producers)
            check_producer(chain, self._level, trust)
            return Producer(
                chain.task_id,
                chain.run_id,
                proven_level(chain),
                chain.certificate.pool,
                chain.certificate.key_id,
                chain_sha256,
                artifact_digest(chain, artifact),
            )
        except UntrustedError as error:
            raise InputRejectedError(f"its producer can't be trusted: {error.message}") from error

    async def piped(self, label: str, output: str) -> tuple[str, str]:
        """Return the task and artifact that are the output of the one dependency with that label, as its chain says.

        Raises:
            InputRejectedError: no dependency's chain has it, or several have it.
            QueueUnavailableError: the control plane gave no usable answer.
        """
        made, unknown = {}, []
        for task_id in self._dependencies:
            try:
                chain, _ = await self._chain(task_id)
            except UntrustedError as error:
                unknown.append(error.message)
            else:
                made[task_id] = outputs_of(chain.task)
        problems = check_pipes([Pipe(label, output, "input")], tuple(made.values()))
        if problems:
            raise InputRejectedError("; ".join([*problems, *unknown[:3]]))
        [found] = [task_id for task_id, one in made.items() if one.label == label]
        return found, made[found].declared[output]

    async def _chain(self, task_id: str) -> tuple[SignedChain, str]:
        held = self._chains.get(task_id)
        if held is not None:
            return held
        trust = self._trusted.current()
        content = await self._read(task_id, CHAIN_NAME, MAX_CHAIN_BYTES)
        signature = await self._read(task_id, SIGNATURE_NAME, SIGNATURE_BYTES)
        chain = read_chain(content, signature, trust.valid_pools)
        if chain.task_id != task_id:
            raise UntrustedError(f"the chain of trust of task {task_id} is that of task {chain.task_id}")
        check_key(chain, trust)
        self._chains[task_id] = chain, hashlib.sha256(content).hexdigest()
        return self._chains[task_id]

    async def _read(self, task_id: str, name: str, most: int) -> bytes:
        content = bytearray()
        try:
            async with self._queue.artifact(self._credentials(), self._scopes, task_id, name) as chunks:
                async for chunk in chunks:
                    content += chunk
                    if len(content) > most:
                        raise UntrustedError(f"{name} of task {task_id} has more than {most} bytes")
        except NotFoundError as error:
            raise UntrustedError(f"task {task_id} has no {name}: its last run did not finish") from error
        return bytes(content)
