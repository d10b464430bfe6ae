"""Has gated judge commits that are there already: to try a policy, and to find what slipped through.

Source: docs/reference/gate.md#audit
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from liftlock.cli.failures import TimedOutError
from liftlock.cli.gate_client import GateClient
from liftlock.cli.gate_repository import GateRepository, moved
from liftlock.values.instants import format_instant

BATCH: Final = 1_000
MAX_TEXT: Final = 8_000_000
"""Characters of messages in one request."""
ASK_EVERY_S: Final = 1.0
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


def _when_ready(client: GateClient, name: str, wait_s: float) -> dict[str, Any]:
    """Return the remembered heads once there is a list to audit by.

    Raises:
        TimedOutError: there is none yet. What came stays to be audited: no head was moved.
    """
    until = time.monotonic() + wait_s
    while True:
        held = client.ask("heads", repository=name)
        if not held["heads"] or not held["notReady"]:
            return held
        if time.monotonic() >= until:
            raise TimedOutError(f"{name}: not audited, what came stays to be audited: {held['notReady']}")
        time.sleep(ASK_EVERY_S)


def _since(lost_ms: int | None) -> str:
    if lost_ms is None:
        return ""
    when = format_instant(datetime.fromtimestamp(lost_ms / 1000, UTC))
    return f", and gated's state was lost at {when}: look yourself at what came since the last audit before"


def _judge(
    client: GateClient, name: str, ref: str, commits: Iterable[dict[str, Any]], policy: str | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """Return the number of commits and the findings, each with whether an override let it in."""
    count = 0
    findings: list[dict[str, Any]] = []
    for batch in _batches(commits):
        answer = client.ask("replay", repository=name, ref=ref, commits=batch, policy=policy)
        count += answer["commits"]
        findings += answer["findings"]
    return count, findings


def replay_repository(
    client: GateClient, repository: GateRepository, name: str, wanted: str, ref: str, policy: str | None
) -> dict[str, Any]:
    """Return what the rules say of a range of commits."""
    count, findings = _judge(client, name, ref, repository.commits(wanted), policy)
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


def audit_repository(
    client: GateClient, repository: GateRepository, name: str, wait_s: float = 0
) -> dict[str, Any]:
    """Return what slipped through since the last audit, and remember the heads. The first audit only remembers them."""
    now = repository.heads()
    held = _when_ready(client, name, wait_s)
    before = held["heads"]
    first = before.pop(_EVER, None) is None
    if first:
        client.ask("audited", repository=name, heads={**now, _EVER: _EVER})
        return {
            "commits": 0,
            "slipped": [],
            "lost": held["lostMs"] is not None,
            "summary": f"{name}: {len(now)} heads remembered; nothing was audited" + _since(held["lostMs"]),
        }
    count, seen, slipped = 0, set[tuple[str, int, str]](), []
    known = _looked_at(repository, before, held["exempt"])
    for head, revision in sorted(moved(before, now).items()):
        commits = repository.commits(revision, known)
        more, findings = _judge(client, name, repository.ref_name(head), commits)
        count += more
        for each in findings:
            key = (each["revision"], each["bug"], each["rule"])
            if each["severity"] == "reject" and not each["passed"] and key not in seen:
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
        "lost": False,
        "summary": f"{name}: {late} of {count} new commits slipped through",
    }
