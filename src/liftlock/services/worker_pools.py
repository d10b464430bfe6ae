"""Worker pools of workers that somebody else runs: they prove themselves by a secret and get credentials.

Source: docs/reference/worker-manager.md
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from liftlock.errors import InputInvalidError, NotFoundError, RefusedError
from liftlock.ports.entropy import Entropy
from liftlock.ports.worker_store import PoolError, PoolWorker, WorkerStore
from liftlock.services.authorize import Caller
from liftlock.services.run_credentials import RunCredentials
from liftlock.values.instants import format_instant, format_ms, from_ms, parse_instant, to_ms

PROVIDER = "static"
CREDENTIALS_LIFETIME = timedelta(hours=96)
_STATES = ("requested", "running", "stopping", "stopped")


class WorkerPools:
    """Pools and their registered workers. Every method raises RefusedError before it says what exists."""

    def __init__(self, store: WorkerStore, credentials: RunCredentials, entropy: Entropy) -> None:
        self._store = store
        self._credentials = credentials
        self._entropy = entropy

    async def put_pool(
        self, caller: Caller, pool_id: str, given: Mapping[str, Any], now: datetime, *, create: bool
    ) -> dict[str, Any]:
        """Return the pool, created or changed.

        Raises:
            RefusedError, InputInvalidError: may not; a provider that does not exist here.
            ConflictError, NotFoundError: it exists, or (on a change) does not.
        """
        verb = "create" if create else "update"
        caller.require(
            [
                f"worker-manager:{verb}-worker-pool:{pool_id}",
                f"worker-manager:provider:{given['providerId']}",
            ]
        )
        if given["providerId"] != PROVIDER:
            raise InputInvalidError(
                f"providerId: the only provider here is {PROVIDER!r}: workers are started elsewhere"
            )
        old = await self._store.pool(pool_id)
        if not create and old is None:
            raise NotFoundError(f"worker pool {pool_id} does not exist")
        wanted = {
            name: given[name] for name in ("providerId", "description", "config", "owner", "emailOnError")
        }
        if create and old is not None and {name: old[name] for name in wanted} == wanted:
            return await self._with_counts(old)
        document = {
            "workerPoolId": pool_id,
            **wanted,
            "created": old["created"] if old else format_instant(now),
            "lastModified": format_instant(now),
        }
        audit = caller.record(f"worker-manager.{verb}WorkerPool", f"worker-pool/{pool_id}")
        await self._store.put_pool(pool_id, document, caller.envelope(now, audit), create=create)
        return await self._with_counts(document)

    async def delete_pool(self, caller: Caller, pool_id: str, now: datetime) -> dict[str, Any]:
        """Return the pool as it was before it was forgotten with its workers.

        Raises:
            NotFoundError: there is none.
        """
        caller.require(f"worker-manager:delete-worker-pool:{pool_id}")
        document = await self._expect_pool(pool_id)
        audit = caller.record("worker-manager.deleteWorkerPool", f"worker-pool/{pool_id}")
        answer = await self._with_counts(document)
        await self._store.delete_pool(pool_id, caller.envelope(now, audit))
        return answer

    async def pool(self, caller: Caller, pool_id: str) -> dict[str, Any]:
        """Return the pool; raises NotFoundError."""
        caller.require(f"worker-manager:get-worker-pool:{pool_id}")
        return await self._with_counts(await self._expect_pool(pool_id))

    async def pools(self, caller: Caller, after: str, limit: int) -> list[dict[str, Any]]:
        """Return a page of pools."""
        caller.require("worker-manager:list-worker-pools")
        return [await self._with_counts(document) for document in await self._store.pools(after, limit)]

    async def put_worker(
        self,
        caller: Caller,
        key: tuple[str, str, str],
        given: Mapping[str, Any],
        now: datetime,
        *,
        create: bool,
    ) -> dict[str, Any]:
        """Return the worker (pool, group, id), which may register with its secret.

        Raises:
            RefusedError, InputInvalidError, NotFoundError, ConflictError: as for pools.
        """
        verb = "create" if create else "update"
        caller.require(f"worker-manager:{verb}-worker:{'/'.join(key)}")
        await self._expect_pool(key[0])
        expires = parse_instant(given["expires"], what="expires")
        if expires <= now:
            raise InputInvalidError(f"expires: {given['expires']} has passed")
        secret = given.get("providerInfo", {}).get("staticSecret")
        if secret is None:
            raise InputInvalidError("providerInfo.staticSecret: missing; the worker registers with it")
        old = await self._store.pool_worker(*key)
        if not create and old is None:
            raise NotFoundError(f"worker {'/'.join(key)} does not exist")
        document = {
            "created": old.document["created"] if old else format_instant(now),
            "capacity": given.get("capacity", 1),
            "state": old.document["state"] if old else "requested",
            "lastModified": format_instant(now),
            "staticSecretDigest": _digest(secret),
        }
        worker = PoolWorker(*key, document, old.secret if old else None, to_ms(expires))
        audit = caller.record(f"worker-manager.{verb}Worker", f"worker/{'/'.join(key)}")
        await self._store.put_pool_worker(worker, caller.envelope(now, audit), create=create)
        return worker_wire(worker)

    async def worker(self, caller: Caller, key: tuple[str, str, str]) -> dict[str, Any]:
        """Return the worker; raises NotFoundError."""
        caller.require(f"worker-manager:get-worker:{'/'.join(key)}")
        return worker_wire(await self._expect_worker(key))

    async def workers(
        self, caller: Caller, pool_id: str, group: str | None, after: tuple[str, str], limit: int
    ) -> list[PoolWorker]:
        """Return a page of the workers of a pool, or of one group of it."""
        below = pool_id if group is None else f"{pool_id}/{group}"
        caller.require(f"worker-manager:list-workers:{below}")
        return await self._store.pool_workers(pool_id, group, after, limit)

    async def remove_worker(self, caller: Caller, key: tuple[str, str, str], now: datetime) -> None:
        """Let the worker register no more; it ends by itself.

        Raises:
            NotFoundError: there is none.
        """
        caller.require(f"worker-manager:remove-worker:{'/'.join(key)}")
        worker = await self._expect_worker(key)
        stopped = {**worker.document, "state": "stopped", "lastModified": format_instant(now)}
        audit = caller.record("worker-manager.removeWorker", f"worker/{'/'.join(key)}")
        gone = msgspec.structs.replace(worker, document=stopped, secret=None)
        await self._store.put_pool_worker(gone, caller.envelope(now, audit), create=False)

    async def register(self, caller: Caller, given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Return credentials for a worker that proves itself by its static secret.

        Raises:
            RefusedError: no such worker in no such pool, it was removed, or another secret: all the same answer.
        """
        key = (given["workerPoolId"], given["workerGroup"], given["workerId"])
        pool = await self._store.pool(key[0])
        worker = await self._store.pool_worker(*key)
        secret = given["workerIdentityProof"].get("staticSecret")
        known = (
            pool is not None
            and worker is not None
            and given["providerId"] == pool["providerId"]
            and worker.document["state"] != "stopped"
            and to_ms(now) < worker.expires_ms
        )
        expected = worker.document["staticSecretDigest"] if worker is not None else "0" * 64
        if not hmac.compare_digest(_digest(secret if isinstance(secret, str) else ""), expected) or not known:
            raise RefusedError(
                "the worker did not prove its identity: pool, provider, ids and secret must match",
                rule="worker-identity",
            )
        if pool is None or worker is None:
            raise RefusedError("unreachable: both are known", rule="worker-identity")
        return await self._admit(caller, pool, worker, "registerWorker", now)

    async def reregister(self, caller: Caller, given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Return new credentials for a worker that shows the secret of its registration.

        Raises:
            RefusedError: not this worker's credentials, or another secret.
        """
        key = (given["workerPoolId"], given["workerGroup"], given["workerId"])
        caller.require(f"worker-manager:reregister-worker:{'/'.join(key)}")
        pool = await self._store.pool(key[0])
        worker = await self._store.pool_worker(*key)
        if pool is None or worker is None or worker.secret is None or worker.document["state"] == "stopped":
            raise RefusedError("the worker is not registered", rule="worker-identity")
        if not hmac.compare_digest(_digest(given["secret"]), worker.secret):
            raise RefusedError(
                "the worker did not show the secret of its registration", rule="worker-identity"
            )
        return await self._admit(caller, pool, worker, "reregisterWorker", now)

    async def _admit(
        self, caller: Caller, pool: dict[str, Any], worker: PoolWorker, method: str, now: datetime
    ) -> dict[str, Any]:
        secret = self._entropy.token_bytes(22).hex()
        until = min(now + CREDENTIALS_LIFETIME, from_ms(worker.expires_ms))
        name = f"{worker.pool_id}/{worker.worker_group}/{worker.worker_id}"
        document = {**worker.document, "state": "running", "lastModified": format_instant(now)}
        admitted = msgspec.structs.replace(worker, document=document, secret=_digest(secret))
        audit = caller.record(f"worker-manager.{method}", f"worker/{name}", "allowed")
        await self._store.put_pool_worker(admitted, caller.envelope(now, audit), create=False)
        credentials = self._credentials.for_worker(
            f"worker/{PROVIDER}/{name}", _worker_scopes(worker, name), start=now, until=until
        )
        return {
            "expires": format_instant(until),
            "credentials": credentials,
            "secret": secret,
            "workerConfig": pool["config"].get("workerConfig", {}),
        }

    async def should_terminate(
        self, caller: Caller, key: tuple[str, str, str], now: datetime
    ) -> dict[str, Any]:
        """Return whether the worker should end: it was removed. One that is not managed here decides itself."""
        caller.require(f"worker-manager:should-worker-terminate:{'/'.join(key)}")
        worker = await self._store.pool_worker(*key)
        removed = worker is not None and worker.document["state"] == "stopped"
        reason = (
            "the worker was removed"
            if removed
            else "workers of static pools are stopped by whoever runs them"
        )
        return {"terminate": removed, "reason": reason, "expires": format_instant(now + timedelta(minutes=5))}

    async def report_error(
        self, caller: Caller, pool_id: str, given: Mapping[str, Any], now: datetime
    ) -> dict[str, Any]:
        """Return the stored report of what went wrong on a worker."""
        caller.require(
            [
                f"assume:worker-pool:{pool_id}",
                f"assume:worker-id:{given['workerGroup']}/{given['workerId']}",
            ]
        )
        document = {
            "workerPoolId": pool_id,
            "errorId": self._entropy.slugid(),
            "reported": format_instant(now),
            "kind": given["kind"],
            "title": given["title"],
            "description": given["description"],
            "extra": {
                **given["extra"],
                "workerGroup": given["workerGroup"],
                "workerId": given["workerId"],
            },
        }
        error = PoolError(document["errorId"], pool_id, to_ms(now), document)
        await self._store.add_error(error, caller.envelope(now))
        return document

    async def errors(self, caller: Caller, pool_id: str, before_ms: int, limit: int) -> list[PoolError]:
        """Return a page of errors, the latest first."""
        caller.require(f"worker-manager:list-worker-pool-errors:{pool_id}")
        return await self._store.errors(pool_id, before_ms, limit)

    async def error_totals(self, caller: Caller, pool_id: str, now: datetime) -> dict[str, Any]:
        """Return how many of the latest 1000 errors of the pool there were by day and by title."""
        found = await self.errors(caller, pool_id, to_ms(now) + 1, 1000)
        return {
            "workerPoolId": pool_id,
            "totals": {
                "total": len(found),
                "daily": Counter(error.document["reported"][:10] for error in found),
                "hourly": Counter(error.document["reported"][:13] for error in found),
                "title": Counter(error.document["title"] for error in found),
                "code": {},
                "launchConfig": {},
            },
        }

    async def launch_configs(self, caller: Caller, pool_id: str) -> list[dict[str, Any]]:
        """Return the pool's launch configurations: a static pool has none.

        Raises:
            NotFoundError: there is no such pool.
        """
        caller.require(f"worker-manager:get-worker-pool:{pool_id}")
        await self._expect_pool(pool_id)
        return []

    async def _expect_pool(self, pool_id: str) -> dict[str, Any]:
        found = await self._store.pool(pool_id)
        if found is None:
            raise NotFoundError(f"worker pool {pool_id} does not exist")
        return found

    async def _expect_worker(self, key: tuple[str, str, str]) -> PoolWorker:
        found = await self._store.pool_worker(*key)
        if found is None:
            raise NotFoundError(f"worker {'/'.join(key)} does not exist")
        return found

    async def _with_counts(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the pool with how many workers it has in each state, and their capacity."""
        counts = dict.fromkeys(_STATES, 0)
        capacity = dict.fromkeys(_STATES, 0)
        after = ("", "")
        while page := await self._store.pool_workers(document["workerPoolId"], None, after, 1000):
            for worker in page:
                counts[worker.document["state"]] += 1
                capacity[worker.document["state"]] += worker.document["capacity"]
            after = (page[-1].worker_group, page[-1].worker_id)
        return {
            **document,
            "currentCapacity": capacity["requested"] + capacity["running"] + capacity["stopping"],
            **{f"{state}Count": counts[state] for state in _STATES},
            **{f"{state}Capacity": capacity[state] for state in _STATES},
        }


def _worker_scopes(worker: PoolWorker, name: str) -> list[str]:
    return [
        f"assume:worker-pool:{worker.pool_id}",
        f"assume:worker-id:{worker.worker_group}/{worker.worker_id}",
        f"queue:worker-id:{worker.worker_group}/{worker.worker_id}",
        f"queue:claim-work:{worker.pool_id}",
        f"purge-cache:purge-requests::{worker.pool_id}",
        f"secrets:get:worker-pool:{worker.pool_id}",
        f"worker-manager:reregister-worker:{name}",
        f"worker-manager:remove-worker:{name}",
        f"worker-manager:should-worker-terminate:{name}",
    ]


def worker_wire(worker: PoolWorker) -> dict[str, Any]:
    """Return the registered worker on the wire, without anything secret."""
    return {
        "workerPoolId": worker.pool_id,
        "workerGroup": worker.worker_group,
        "workerId": worker.worker_id,
        "providerId": PROVIDER,
        "created": worker.document["created"],
        "expires": format_ms(worker.expires_ms),
        "state": worker.document["state"],
        "capacity": worker.document["capacity"],
        "lastModified": worker.document["lastModified"],
        "lastChecked": worker.document["lastModified"],
    }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
