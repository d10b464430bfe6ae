"""Answers to operators. Each takes a request and returns plain JSON values.

Source: docs/reference/gate.md#operators
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from liftlock.domain.pushes.feed import MAX_BUG
from liftlock.domain.pushes.gate_policy import GatePolicy, parse_policy
from liftlock.domain.pushes.gate_rules import Landing, examine
from liftlock.domain.pushes.message import read
from liftlock.domain.pushes.verdict import Finding, Wording, judge
from liftlock.errors import InputInvalidError
from liftlock.gate.desk import Desk
from liftlock.gate.operator_requests import (
    MAX_OVERRIDE_S,
    Audit,
    Audited,
    Canary,
    Commit,
    Explain,
    Heads,
    Installed,
    Overriding,
    Replay,
    Settings,
)
from liftlock.gate.push_session import CANARY, exempt_globs
from liftlock.ports.gate_state import Override

CANARY_S: Final = 60.0
MAX_CANARIES: Final = 16
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@$-]{0,63}\Z")
_TOKEN = re.compile(r"[0-9a-f]{32}\Z")


def known_source(desk: Desk, name: str, what: str) -> str:
    """Return the name of a feed that the policy has; raises InputInvalidError for another."""
    if name not in desk.policy.sources:
        expected = ", ".join(sorted(desk.policy.sources))
        raise InputInvalidError(
            f"{what}: the policy has no feed {name[:64]!r}; expected one of: {expected}", source=name[:64]
        )
    return name


def status(desk: Desk, *, feed_connected: bool) -> dict[str, Any]:
    """Return ages, cursors, firings and overrides."""
    knowledge = desk.knowledge
    now, now_ms = knowledge.monotonic(), knowledge.now_ms()
    sources = {}
    for name in {desk.policy.default.source, *desk.policy.feed, *knowledge.sources}:
        source = knowledge.source(name)
        age = source.age_s(now)
        sources[name] = {
            "known": source.known,
            "ageS": None if age is None else round(age, 3),
            "epoch": source.cursor.epoch if source.cursor else None,
            "seq": source.cursor.seq if source.cursor else None,
            "bugs": len(source.records),
            "sensitive": sum(record.sensitive for record in source.records.values()),
            "blocked": sum(record.blocked for record in source.records.values()),
            "frozen": source.frozen,
            "snapshotRefused": source.refused or None,
            "resyncAsked": source.request is not None,
            "highestBug": source.highest_bug,
        }
    return {
        "feedConnected": feed_connected,
        "disagreements": [
            {"repository": name, "hook": fail, "policy": desk.policy.of(name).fail}
            for name, fail in sorted(desk.installed.items())
            if fail != desk.policy.of(name).fail
        ],
        "sources": sources,
        "firings": [
            {**msgspec.to_builtins(firing), "agoS": max(0.0, (now_ms - firing.at_ms) / 1000)}
            for _, firing in sorted(desk.firings.items())
        ],
        "overrides": [
            msgspec.to_builtins(each) for each in knowledge.overrides if each.at_ms <= now_ms < each.until_ms
        ],
    }


def figures(desk: Desk) -> dict[str, Any]:
    """Return the metrics, gauges of ages set to this moment."""
    now = desk.knowledge.monotonic()
    for name, source in desk.knowledge.sources.items():
        age = source.age_s(now)
        desk.metrics.gauge("list_age_seconds", float("inf") if age is None else age, source=name)
        sensitive = sum(record.sensitive for record in source.records.values())
        desk.metrics.gauge("sensitive_bugs", sensitive, source=name)
        desk.metrics.gauge("frozen", float(source.frozen is not None), source=name)
    return {"text": desk.metrics.text()}


async def audit(desk: Desk, request: Audit) -> dict[str, Any]:
    """Return the newest entries."""
    limit = min(max(1, request.limit), 1_000)
    found = await desk.knowledge.ledger.do(lambda state: state.entries(limit, request.kind))
    return {"entries": [msgspec.to_builtins(entry) for entry in found]}


def explain(desk: Desk, request: Explain) -> dict[str, Any]:
    """Return what is known of a bug, or how a message is read and judged; no quota, no trace of a push."""
    policy = desk.policy.of(request.repository)
    source = desk.knowledge.source(policy.source)
    age = source.age_s(desk.knowledge.monotonic())
    base: dict[str, Any] = {
        "source": source.name,
        "known": source.known,
        "ageS": age,
        "rules": msgspec.to_builtins(policy.rules),
        "fail": policy.fail,
    }
    if request.message is None:
        if request.bug is None:
            raise InputInvalidError("explain: expected a bug or a message")
        return {**base, "bugs": [_bug(desk, request.bug, request.repository)]}
    commit = Commit(revision="0" * 40, message=request.message)
    message = read(_bytes(commit))
    verdict = judge(
        _findings(desk, desk.policy, request.repository, request.ref, [commit]),
        Wording(desk.policy.feed_of(source.name).link, desk.policy.limits.shown_bugs),
    )
    return {
        **base,
        "bugs": [_bug(desk, bug, request.repository) for bug in (*message.subject, *message.body)],
        "inSubject": list(message.subject),
        "inBody": list(message.body),
        "approvedBy": [value.decode("utf-8", "replace") for value in message.approved_by],
        "direction": message.direction,
        "outcome": verdict.outcome,
        "text": verdict.text,
        "findings": [finding._asdict() for finding in verdict.findings],
    }


def _bug(desk: Desk, bug: int, repository: str) -> dict[str, Any]:
    name = desk.policy.of(repository).source
    record = desk.knowledge.source(name).records.get(bug)
    return {
        "bug": bug,
        "record": None if record is None else msgspec.to_builtins(record),
        "overridden": desk.knowledge.overridden(name, bug, repository),
    }


def _bytes(commit: Commit) -> bytes:
    try:
        return commit.message.encode("latin-1")
    except UnicodeEncodeError:
        return commit.message.encode("utf-8", "replace")


def _findings(
    desk: Desk, policy: GatePolicy, repository: str, ref: str, commits: list[Commit] | tuple[Commit, ...]
) -> list[Finding]:
    rules = policy.of(repository)
    if rules.exempts([ref]):
        return []
    given = desk.circumstances(repository, rules, desk.knowledge.source(rules.source))._replace(stale=False)
    return [
        finding
        for each in commits
        for finding in examine(
            Landing(each.revision, (each.branch or ref,), each.merge, read(_bytes(each))), given
        )
    ]


async def replay(desk: Desk, request: Replay) -> dict[str, Any]:
    """Return the findings, each with whether an override let it in, and the commits that it let in.

    `notReady`: why the list is nothing to judge the past by, empty if it is.
    """
    policy = desk.policy if request.policy is None else parse_policy(request.policy)
    findings = _findings(desk, policy, request.repository, request.ref, request.commits)
    revisions = list(dict.fromkeys(finding.revision for finding in findings))
    source = policy.of(request.repository).source
    let_in = {
        (each.revision, each.bug, each.rule)
        for each in await desk.knowledge.ledger.do(
            lambda state: state.passed(source, request.repository, revisions)
        )
    }
    told = [{**each._asdict(), "passed": (each.revision, each.bug, each.rule) in let_in} for each in findings]
    refused = {each["revision"] for each in told if each["severity"] == "reject" and not each["passed"]}
    return {
        "commits": len(request.commits),
        "findings": told,
        "passed": {
            each["revision"]: "override"
            for each in told
            if each["passed"] and each["revision"] not in refused
        },
        "notReady": not_ready(desk, request.repository),
        "known": desk.knowledge.source(policy.of(request.repository).source).known,
    }


def not_ready(desk: Desk, repository: str) -> str:
    """Return why nothing can be audited by the list now, or nothing: what it does not know yet would be passed over."""
    policy, knowledge = desk.policy.of(repository), desk.knowledge
    source = knowledge.source(policy.source)
    age = source.age_s(knowledge.monotonic())
    if not source.known:
        return "the list of bugs is not there yet"
    if source.contacted is None or age is None or source.contacted < knowledge.loaded:
        return "feedd has told nothing since gated started"
    if source.request is not None:
        return "a new list is awaited"
    if age > policy.max_stale_s:
        return f"the list is {age:.0f} s old, and {policy.max_stale_s} are borne"
    return ""


async def heads(desk: Desk, request: Heads) -> dict[str, Any]:
    """Return up to where a repository was audited, since when nothing is known of that if it was lost, and which refs are exempt."""
    ledger = desk.knowledge.ledger
    found: dict[str, str] = await ledger.do(lambda state: state.audited(request.repository))
    return {
        "heads": found,
        "exempt": exempt_globs(desk.policy.of(request.repository)),
        "notReady": not_ready(desk, request.repository),
        "lostMs": None if found else await ledger.do(lambda state: state.lost_ms()),
    }


async def audited(desk: Desk, request: Audited, operator: str) -> dict[str, Any]:
    """Set those heads, with what slipped through in the audit trail.

    Raises:
        InputInvalidError: it was audited before, and the list is nothing to audit by: the heads stay.
    """
    why = not_ready(desk, request.repository)
    held: dict[str, str] = await desk.knowledge.ledger.do(lambda state: state.audited(request.repository))
    if why and held:
        raise InputInvalidError(f"audited: {request.repository}: {why}")
    entries = [
        desk.entry("slipped", request.repository, operator, "found", **finding) for finding in request.slipped
    ]
    await desk.knowledge.ledger.do(
        lambda state: state.set_audited(request.repository, request.heads, desk.knowledge.now_ms(), entries)
    )
    desk.metrics.count("slipped_total", len({str(each.get("revision")) for each in request.slipped}))
    return {"slipped": len(entries)}


async def override(desk: Desk, request: Overriding, operator: str) -> dict[str, Any]:
    """Let a bug pass, or end that; durable and in the audit trail before it is in force."""
    knowledge = desk.knowledge
    named = request.source or desk.policy.of(request.repository or "").source
    source = known_source(desk, named, "override")
    if not 0 < request.bug <= MAX_BUG:
        raise InputInvalidError(f"override: bug {request.bug}: expected 1 to {MAX_BUG}")
    if not request.reason.strip():
        raise InputInvalidError("override: expected a reason: it is written down")
    if not 0 < request.seconds <= MAX_OVERRIDE_S:
        raise InputInvalidError(f"override: expected 1 to {MAX_OVERRIDE_S} seconds, found {request.seconds}")
    if request.repository is not None and request.repository not in {
        *desk.policy.repositories,
        *desk.installed,
    }:
        raise InputInvalidError(
            f"override: no repository {request.repository[:64]!r}: neither the policy names it nor was a hook installed"
        )
    if request.sudo is not None and operator == "uid 0" and _USER.match(request.sudo):
        operator = f"{request.sudo}, by sudo"
    now_ms = knowledge.now_ms()
    details = {"bug": request.bug, "source": source, "reason": request.reason, "seconds": request.seconds}
    entry = desk.entry(
        "override", request.repository or "", operator, "revoked" if request.revoke else "granted", **details
    )
    if request.revoke:
        ended = await knowledge.ledger.do(
            lambda state: state.revoke(source, request.bug, request.repository, now_ms, entry)
        )
        knowledge.overrides = await knowledge.ledger.do(lambda state: state.overrides(now_ms))
        return {"revoked": ended}
    granted = await knowledge.ledger.do(
        lambda state: state.grant(
            Override(
                source=source,
                bug=request.bug,
                repository=request.repository,
                until_ms=now_ms + request.seconds * 1000,
                by=operator,
                reason=request.reason[:1_000],
                at_ms=now_ms,
            ),
            entry,
        )
    )
    knowledge.overrides = await knowledge.ledger.do(lambda state: state.overrides(now_ms))
    return {"override": msgspec.to_builtins(granted)}


def settings(desk: Desk, request: Settings) -> dict[str, Any]:
    """Return what holds for a repository when gated does not answer, and whether the policy names it."""
    return {
        "fail": desk.policy.of(request.repository).fail,
        "named": request.repository in desk.policy.repositories,
        "names": sorted(desk.policy.repositories)[:100],
    }


async def installed(desk: Desk, request: Installed, operator: str) -> dict[str, Any]:
    """Remember what a hook was told to do when gated does not answer: `status` compares it with the policy."""
    await desk.record([desk.entry("hook", request.repository, operator, "installed", fail=request.fail)])
    desk.installed[request.repository] = request.fail
    return {"disagrees": request.fail != desk.policy.of(request.repository).fail}


def canary(desk: Desk, request: Canary) -> dict[str, Any]:
    """Expect pushes with this token for a minute."""
    if not _TOKEN.match(request.token):
        raise InputInvalidError("canary: expected 32 hexadecimal digits")
    now = desk.knowledge.monotonic()
    desk.canaries = {token: until for token, until in desk.canaries.items() if until > now}
    if len(desk.canaries) >= MAX_CANARIES:
        raise InputInvalidError("canary: too many are awaited: try again in a minute")
    desk.canaries[CANARY + request.token.encode()] = now + CANARY_S
    return {"seconds": CANARY_S}
