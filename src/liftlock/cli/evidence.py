"""Collects what a verification looks at from a running liftlock. Nothing of it is believed here."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError, TimedOutError, UnreachableError
from liftlock.cli.output import Output
from liftlock.domain.provenance.chain import CHAIN_NAME, MAX_CHAIN_BYTES, SIGNATURE_NAME
from liftlock.domain.provenance.evidence import (
    FORMAT,
    MAX_RUNS,
    Evidence,
    RunEvidence,
    is_document,
    object_in,
    producers_of,
)
from liftlock.domain.provenance.origin import CHECKOUTS

MAX_DOCUMENT_BYTES = 64 << 20
_SIGNATURE_BYTES = 64
_BROKEN = (UnreachableError, TimedOutError)
"""How reading one artifact fails whose bytes the server can't give whole. If the server is gone, what is asked next fails as well."""


class Collector:
    """Follows chains from one task to its push, as far as the control plane tells of them."""

    def __init__(self, api: Api, out: Output) -> None:
        self._api = api
        self._out = out
        self._runs: dict[str, RunEvidence] = {}
        self._missing: dict[str, str] = {}
        self._pushes: dict[str, dict[str, Any]] = {}

    def collect(self, task_id: str) -> Evidence:
        """Return the evidence on the last run of a task; every artifact of it is downloaded and measured."""
        waiting = [task_id]
        while waiting and len(self._runs) < MAX_RUNS:
            each = waiting.pop()
            if each not in self._runs and each not in self._missing:
                waiting += self._take(each, measured=each == task_id)
        keys = self._api.get("provenance", "keys")
        runs = tuple(self._runs.values())
        root_url = self._api.profile.root_url
        return Evidence(FORMAT, task_id, root_url, runs, self._pushes, self._missing, keys)

    def _take(self, task_id: str, *, measured: bool) -> list[str]:
        """Take one run; return the tasks that it leads to."""
        try:
            content = self._api.artifact(task_id, CHAIN_NAME, max_bytes=MAX_CHAIN_BYTES)
            signature = self._api.artifact(task_id, SIGNATURE_NAME, max_bytes=_SIGNATURE_BYTES)
        except (AnsweredError, *_BROKEN) as error:
            code = getattr(error, "answered_code", error.code)
            self._missing[task_id] = f"{code}: {error.message.partition(chr(10))[0]}"
            return []
        self._out.progress(f"{task_id}: chain of trust")
        said = _object(content)
        names = sorted(object_in(said, "artifacts"))
        documents = {name: self._document(task_id, name) for name in names if is_document(name)}
        observed = self._measured(task_id) if measured else {}
        kept = {name: data for name, data in documents.items() if data is not None}
        self._runs[task_id] = RunEvidence(task_id, content, signature, observed, kept)
        task = object_in(said, "task")
        group = str(task.get("taskGroupId"))
        if task_id == group:
            self._push(task_id, said)
        parent = object_in(task, "extra").get("parent") or group
        return [str(parent), group, *producers_of(said)]

    def _document(self, task_id: str, name: str) -> bytes | None:
        try:
            return self._api.artifact(task_id, name, max_bytes=MAX_DOCUMENT_BYTES)
        except (AnsweredError, *_BROKEN):
            return None

    def _measured(self, task_id: str) -> dict[str, str]:
        """Return the sha256 of every artifact of the task's last run, by name."""
        found = {}
        for one in self._api.all_pages("queue", "task", task_id, "artifacts", key="artifacts"):
            if one["storageType"] == "error":
                continue
            found[one["name"]] = self._digest(task_id, one["name"])
        return found

    def _digest(self, task_id: str, name: str) -> str:
        """Return the artifact's sha256, or why there is none: that differs from every digest, so it is red."""
        digest = hashlib.sha256()
        try:
            with self._api.open_artifact(task_id, name) as chunks:
                for chunk in chunks:
                    digest.update(chunk)
        except (AnsweredError, *_BROKEN) as error:
            return f"nothing: {error.message.partition(chr(10))[0]}"
        return digest.hexdigest()

    def _push(self, group: str, said: dict[str, Any]) -> None:
        """Take the push that started the group, found by what the decision task read."""
        for one in said.get("inputs", []):
            if not isinstance(one, dict) or one.get("kind") not in CHECKOUTS:
                continue
            query = {"revision": str(one.get("commit"))}
            try:
                pushes = self._api.get("pushes", "project", str(one.get("project")), "pushes", query=query)
            except AnsweredError as error:
                self._out.progress(f"{group}: its push can't be had: {error.message.partition(chr(10))[0]}")
                continue
            for push in pushes["pushes"]:
                if push["taskId"] == group:
                    self._pushes[group] = push


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
