"""Which producers' artifacts a task may read: trusted pools, of the task's level or above.

Source: docs/reference/provenance.md#policy
"""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.domain.provenance.certificates import PoolKey
from liftlock.domain.provenance.chain import SignedChain
from liftlock.domain.provenance.keys import UntrustedError
from liftlock.domain.provenance.levels import level_of


class Trust(msgspec.Struct, frozen=True):
    """Whose signatures count.

    `revoked`: ids of keys, of pools or workers, that count no more. `producers`: level → pools that may produce what
    tasks of that level read; a level that is not named: every pool whose keys vouch for it.
    """

    pools: tuple[PoolKey, ...]
    revoked: frozenset[str] = frozenset()
    producers: dict[int, tuple[str, ...]] = {}

    @property
    def valid_pools(self) -> tuple[PoolKey, ...]:
        """The keys that are not revoked."""
        return tuple(pool for pool in self.pools if pool.id not in self.revoked)


class Producer(msgspec.Struct, frozen=True):
    """The run that made an artifact, as its verified chain says. `sha256`: the artifact's; `chain_sha256`: the chain's."""

    task_id: str
    run_id: int
    level: int
    pool: str
    key_id: str
    chain_sha256: str
    sha256: str

    def wire(self) -> dict[str, Any]:
        """Return what the inputs manifest says of it."""
        return {
            "taskId": self.task_id,
            "runId": self.run_id,
            "level": self.level,
            "pool": self.pool,
            "keyId": self.key_id,
            "chain": {"sha256": self.chain_sha256},
        }


def proven_level(chain: SignedChain) -> int:
    """Return the level that a chain can prove.

    It is no more than its task has, its worker says, its pool vouches for, and any cache that it wrote to has.
    """
    caches = (cache.level for cache in chain.caches)
    return min(level_of(chain.task), chain.level, chain.certificate.level, chain.pool.level, *caches)


def why_level(chain: SignedChain) -> str:
    """Return what to add to a message about a chain's level: the caches that lowered it, or nothing."""
    level = proven_level(chain)
    names = [cache.name for cache in chain.caches if cache.level == level < level_of(chain.task)]
    return f" (it used the cache {', '.join(names)} of level {level})" if names else ""


def check_key(chain: SignedChain, trust: Trust) -> None:
    """Raise UntrustedError if the worker's key is revoked."""
    if chain.certificate.key_id in trust.revoked:
        raise UntrustedError(f"the worker's key {chain.certificate.key_id[:16]} is revoked")


def check_producer(chain: SignedChain, consumer_level: int, trust: Trust) -> None:
    """Raise UntrustedError unless a task of `consumer_level` may read what the chain's run made."""
    level = proven_level(chain)
    if level < consumer_level:
        raise UntrustedError(
            f"task {chain.task_id} is of level {level}{why_level(chain)}, and its consumer of level {consumer_level}:"
            " what a lower level made is no input"
        )
    allowed = trust.producers.get(consumer_level)
    if allowed is not None and chain.certificate.pool not in allowed:
        raise UntrustedError(
            f"task {chain.task_id} ran in pool {chain.certificate.pool}; for level {consumer_level} only"
            f" {', '.join(allowed) or 'no pool'} may produce inputs"
        )


def artifact_digest(chain: SignedChain, artifact: str) -> str:
    """Return the artifact's sha256; UntrustedError if the chain has no such artifact."""
    found = chain.artifacts.get(artifact)
    if found is None:
        raise UntrustedError(
            f"the chain of trust of task {chain.task_id}, run {chain.run_id}, has no artifact {artifact!r}"
        )
    return found
