"""The index: find a task by a name that somebody gave it.

Source: docs/reference/index.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from liftlock.domain.tasks.artifacts import need_to_read
from liftlock.domain.tasks.index_routes import IndexEntry
from liftlock.domain.tasks.index_routes import namespace as parse_namespace
from liftlock.errors import InputInvalidError, NotFoundError
from liftlock.ports.index_store import IndexedTask, IndexStore, Namespace
from liftlock.services.authorize import Caller
from liftlock.values.ids import task_id as parse_task_id
from liftlock.values.instants import format_ms, parse_instant, to_ms


class TaskIndex:
    """Inserts, finds and lists. Every method raises RefusedError before it says what exists."""

    def __init__(self, store: IndexStore) -> None:
        self._store = store

    async def insert(
        self, caller: Caller, namespace: str, given: Mapping[str, Any], now: datetime
    ) -> dict[str, Any]:
        """Return what the namespace now leads to.

        Raises:
            RefusedError, RequestArgumentsError, InputInvalidError: may not; no such namespace can be; expired.
        """
        path = parse_namespace(namespace)
        caller.require(f"index:insert-task:{path}")
        task_id = parse_task_id(given["taskId"])
        expires = parse_instant(given["expires"], what="expires")
        if expires <= now:
            raise InputInvalidError(f"expires: {given['expires']} has passed")
        entry = IndexEntry(path, float(given["rank"]), given["data"], to_ms(expires))
        audit = caller.record("index.insertTask", f"index/{path}", taskId=task_id)
        return task_wire(await self._store.insert(entry, task_id, caller.envelope(now, audit)))

    async def find(self, caller: Caller, path: str, now: datetime) -> dict[str, Any]:
        """Return what the path leads to.

        Raises:
            RefusedError, RequestArgumentsError, NotFoundError: may not; no path; leads nowhere.
        """
        path = parse_namespace(path)
        caller.require(f"index:find-task:{path}")
        return task_wire(await self._expect(path, now))

    async def find_many(self, caller: Caller, paths: Sequence[str], now: datetime) -> list[dict[str, Any]]:
        """Return what those of the paths lead to that lead somewhere, in their order."""
        paths = [parse_namespace(path) for path in paths]
        caller.require([f"index:find-task:{path}" for path in paths])
        found = [await self._store.find(path, to_ms(now)) for path in paths]
        return [task_wire(one) for one in found if one is not None]

    async def task_of(self, caller: Caller, path: str, artifact: str, now: datetime) -> str:
        """Return the id of the task from which an artifact is wanted.

        Raises:
            RefusedError, NotFoundError: may not read artifacts of that name; the path leads nowhere.
        """
        caller.require(need_to_read(artifact))
        return (await self._expect(parse_namespace(path), now)).task_id

    async def namespaces(
        self, caller: Caller, parent: str, after: str, limit: int, now: datetime
    ) -> list[Namespace]:
        """Return a page of namespaces directly below `parent`, which may be empty."""
        caller.require(f"index:list-namespaces:{_parent(parent)}")
        return await self._store.namespaces(parent, after, limit, to_ms(now))

    async def tasks(
        self, caller: Caller, parent: str, after: str, limit: int, now: datetime
    ) -> list[IndexedTask]:
        """Return a page of indexed tasks directly below `parent`, which may be empty."""
        caller.require(f"index:list-tasks:{_parent(parent)}")
        return await self._store.tasks(parent, after, limit, to_ms(now))

    async def delete(self, caller: Caller, namespace: str, now: datetime) -> None:
        """Let the namespace lead nowhere."""
        path = parse_namespace(namespace)
        caller.require(f"index:delete-task:{path}")
        audit = caller.record("index.deleteTask", f"index/{path}")
        await self._store.delete(path, caller.envelope(now, audit))

    async def _expect(self, path: str, now: datetime) -> IndexedTask:
        found = await self._store.find(path, to_ms(now))
        if found is None:
            raise NotFoundError(f"nothing is indexed at {path}")
        return found


def _parent(path: str) -> str:
    return parse_namespace(path) if path else ""


def task_wire(indexed: IndexedTask) -> dict[str, Any]:
    """Return the indexed task on the wire."""
    return {
        "namespace": indexed.namespace,
        "taskId": indexed.task_id,
        "rank": indexed.rank,
        "data": indexed.data,
        "expires": format_ms(indexed.expires_ms),
    }
