"""Has gated judge commits that are there already: to try a policy, and to find what slipped through.

Source: docs/reference/gate.md#audit
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from liftlock.cli.gate_client import GateClient
from liftlock.cli.gate_repository import GateRepository, moved

BATCH: Final = 1_000
MAX_TEXT: Final = 8_000_000
"""Characters of messages in one request."""
_EVER: Final = "audited"
"""Among the remembered heads, it says that there was an audit: an empty repository has no head to remember."""


def _batches(commits: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for commit in commits:
        commit["message"] = commit["message"][:1_000_000]
        batch.append(commit)
        size += len(commit["message"])
        if len(batch) >= BATCH or size >= MAX_TEXT // 2:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _judge(
    client: GateClient, name: str, ref: str, commits: Iterable[dict[str, Any]], policy: str | None = None
) -> tuple[int, list[dict[str, Any]], dict[str, str]]:
    """Return the number of commits, the findings, and which commits were let in knowingly."""
    count = 0
    findings: list[dict[str, Any]] = []
    passed: dict[str, str] = {}
    for batch in _batches(commits):
        answer = client.ask("replay", repository=name, ref=ref, commits=batch, policy=policy)
        count += answer["commits"]
        findings += answer["findings"]
        passed |= answer["passed"]
    return count, findings, passed


def replay_repository(
    client: GateClient, repository: GateRepository, name: str, wanted: str, ref: str, policy: str | None
) -> dict[str, Any]:
    """Return what the rules say of a range of commits."""
    count, findings, _ = _judge(client, name, ref, repository.commits(wanted), policy)
    rejected = {each["revision"] for each in findings if each["severity"] == "reject"}
    warned = {each["revision"] for each in findings} - rejected
    return {
        "commits": count,
        "findings": findings,
        "summary": f"{len(rejected)} of {count} commits would be rejected, {len(warned)} warned of",
    }


def _looked_at(repository: GateRepository, before: Mapping[str, str], exempt: Iterable[str]) -> list[str]:
    """Return the heads whose commits were looked at.

    Not those of refs that the policy exempts, nor of refs that no push makes (a host's of requests to merge): such commits
    are new where they land next. A Mercurial changeset belongs to its branch for ever.
    """
    return list(
        dict.fromkeys(
            revision
            for head, revision in before.items()
            if repository.kind != "git"
            or (
                head.startswith(("refs/heads/", "refs/tags/"))
                and not any(fnmatchcase(head, pattern) for pattern in exempt)
            )
        )
    )


def audit_repository(client: GateClient, repository: GateRepository, name: str) -> dict[str, Any]:
    """Return what slipped through since the last audit, and remember the heads. The first audit only remembers them."""
    now = repository.heads()
    told = client.ask("heads", repository=name)
    before = told["heads"]
    first = before.pop(_EVER, None) is None
    if first:
        client.ask("audited", repository=name, heads={**now, _EVER: _EVER})
        return {
            "commits": 0,
            "slipped": [],
            "summary": f"{name}: {len(now)} heads remembered; nothing was audited",
        }
    count, seen, slipped = 0, set[tuple[str, int, str]](), []
    known = _looked_at(repository, before, told["exempt"])
    for head, revision in sorted(moved(before, now).items()):
        commits = repository.commits(revision, known)
        more, findings, passed = _judge(client, name, repository.ref_name(head), commits)
        count += more
        for each in findings:
            key = (each["revision"], each["bug"], each["rule"])
            if each["severity"] == "reject" and each["revision"] not in passed and key not in seen:
                seen.add(key)
                slipped.append({**each, "ref": head})
    reported = [
        {key: each[key] for key in ("revision", "bug", "rule", "ref")}
        for each in itertools.islice(slipped, 10_000)
    ]
    client.ask("audited", repository=name, heads={**now, _EVER: _EVER}, slipped=reported)
    late = len({each["revision"] for each in slipped})
    return {
        "commits": count,
        "slipped": slipped,
        "summary": f"{name}: {late} of {count} new commits slipped through",
    }
