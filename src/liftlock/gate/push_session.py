"""One push from its first commit to its verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import structlog

from liftlock.domain.pushes.bug_references import may_name
from liftlock.domain.pushes.feed import Record
from liftlock.domain.pushes.gate_policy import RepositoryPolicy
from liftlock.domain.pushes.gate_rules import Landing, examine
from liftlock.domain.pushes.message import MAX_MESSAGE, SILENT, read
from liftlock.domain.pushes.verdict import Finding, Outcome, Verdict, Wording, judge
from liftlock.errors import MalformedPayloadError
from liftlock.gate.commits import Commits
from liftlock.gate.desk import Desk, Pusher
from liftlock.ports.gate_state import Entry, Hit, Passed

_log = structlog.get_logger(__name__)
CANARY: Final = b"liftlock-canary-"
MAX_KEPT: Final = 5_000
"""Commits with findings that are kept to be looked at again; more are judged as they were seen first."""
MAX_ASKED: Final = 1_000
"""Commits that a hook is asked about, whether they are new to the repository."""
MAX_REREAD: Final = 8
MAX_AUDITED: Final = 100
"""Findings that are written down of one push."""

MAX_REFS: Final = 50_000
"""Refs of one push."""

AskNew = Callable[[Sequence[str]], Awaitable[frozenset[str]]]
"""Ask the hook which of the commits are new to the repository."""


class Answer(NamedTuple):
    """What the hook is told."""

    outcome: Outcome
    text: str


class PushSession:
    """Takes a push as it streams in. `ask_new` is used once at most, and only before a rejection."""

    def __init__(self, desk: Desk, repository: str, pusher: Pusher, hook: str) -> None:
        self._desk = desk
        self.repository = repository
        self.hook = hook
        self.pusher = pusher
        self.policy = desk.policy.of(repository)
        self.commits = 0
        self._stream = Commits()
        self._refs: tuple[str, ...] = ("",)
        self._refs_are_exempt = self.policy.exempts(self._refs)
        self._naming: list[str] = []
        self._named = 0
        self._ref_is_new = True
        self._exempt = pusher.vouched and pusher.name in self.policy.exempt_pushers
        self._source = desk.knowledge.source(self.policy.source)
        self._given = desk.circumstances(repository, self.policy, self._source)
        # Most commits name bugs of which nothing is known, and then only two of the rules could say anything.
        self._all_matter = bool(self.policy.uplift and self.policy.uplift_of == "all") or (
            self.policy.rules.unknown_bug != "off" and self._given.beyond is not None
        )
        self._sifts = self._source.known and not self._all_matter
        """Whether a commit that names none of the known bugs can be passed over unread."""
        self._kept: list[Landing] = []
        self._overflow: list[Finding] = []
        self._doubtful: set[str] = set()
        self._names_bugs = False
        self._canary = False
        self._confirmed: list[Finding] | None = None
        """What was found once it is known which commits are new."""
        self._answer: Answer | None = None
        self._writing: asyncio.Task[None] | None = None

    def ref(self, payload: bytes) -> None:
        """The commits that follow are new to these refs; `old` says that they may be in the repository already.

        `more` says that further names of the same refs follow. Raises MalformedPayloadError: there are too many.
        """
        names, _, kind = payload.partition(b"\0")
        self._named += names.count(b"\n") + 1
        if self._named > MAX_REFS:
            raise MalformedPayloadError(f"the push has more than {MAX_REFS} refs")
        self._naming += names.decode("utf-8", "replace").split("\n")
        if kind == b"more":
            return
        self._refs_are_exempt = self.policy.exempts(self._naming)
        # Of refs that need the same flags, one stands for all.
        self._refs = tuple({self.policy.uplift_flags((name,)): name for name in self._naming}.values())
        self._ref_is_new = kind != b"old"
        self._naming = []

    def take(self, piece: bytes) -> None:
        """Look at the commits that are complete with this piece; raises MalformedPayloadError."""
        for raw in self._stream.feed(piece):
            self.commits += 1
            text = raw.message[:MAX_MESSAGE]
            if CANARY in text and self._desk.canaries:
                self._look_for_canary(text)
            if self._sifts and not may_name(text, self._source.records.keys()):
                continue
            message = read(text)
            if message is SILENT or self._exempt:
                continue
            refs = (raw.branch,) if raw.branch else self._refs
            if self.policy.exempts(refs) if raw.branch else self._refs_are_exempt:
                continue
            self._names_bugs = True
            if not self._all_matter and self._source.records.keys().isdisjoint(
                message.subject + message.body
            ):
                continue
            landing = Landing(raw.revision, refs, raw.merge, message)
            findings = list(examine(landing, self._given))
            if findings and len(self._kept) < MAX_KEPT:
                self._kept.append(landing)
                if not self._ref_is_new:
                    self._doubtful.add(raw.revision)
            elif findings and len(self._overflow) < MAX_KEPT:
                self._overflow += findings

    @property
    def cut_off(self) -> bool:
        """Whether the stream ended within a commit or a list of refs."""
        return self._stream.pending or bool(self._naming)

    def _look_for_canary(self, message: bytes) -> None:
        now = self._desk.knowledge.monotonic()
        for token, until in list(self._desk.canaries.items()):
            if now > until:
                del self._desk.canaries[token]
            elif token in message:
                self._canary = True

    async def decide(self, ask_new: AskNew, deadline: float, *, lacks: str = "") -> Answer:
        """Return the verdict. `deadline`: the loop's time until which re-reads and writing it down may take.

        `lacks`: why the push was not seen as a whole; what was seen can reject it, but can't let it in.
        """
        if self._canary:
            self._desk.fired(self.repository, self.hook, "canary")
            return Answer("reject", "liftlock: canary seen: this hook and the gate work")
        if not self._source.known and self._names_bugs:
            return await self.fall_back("the list of bugs is not there yet", "unknown")
        findings = self._confirmed = await self._without_old(self._examine(), ask_new)
        suspects = [finding.bug for finding in findings if finding.severity == "reject"]
        if suspects and not self._overflow and await self._reread(list(dict.fromkeys(suspects)), deadline):
            kept = {finding.revision for finding in findings}
            findings = [finding for finding in self._examine() if finding.revision in kept]
        if lacks and not _rejects(findings):
            return await self.fall_back(lacks, "malformed")
        answer = self._conclude(findings)
        if self._writing is not None:
            await asyncio.wait(
                [self._writing], timeout=max(0.0, deadline - asyncio.get_running_loop().time())
            )
        return answer

    def settled(self) -> Answer | None:
        """Return the verdict if nothing that is still asked or written can change it: a rejection, or one that was made."""
        if self._answer is None:
            certain = self._confirmed
            if certain is None:
                certain = [
                    each
                    for each in self._examine()
                    if each.rule == "uplift" or each.revision not in self._doubtful
                ]
            if not _rejects(certain):
                return None
            self._conclude(certain)
        return self._answer

    def _examine(self) -> list[Finding]:
        given = self._desk.circumstances(self.repository, self.policy, self._source)
        found = (finding for landing in self._kept for finding in examine(landing, given))
        return list(dict.fromkeys([*found, *self._overflow]))  # a commit may come by several refs

    async def _without_old(self, findings: list[Finding], ask_new: AskNew) -> list[Finding]:
        """Drop what concerns commits that the repository has already: they landed before, on another branch."""
        asked = list(
            dict.fromkeys(
                finding.revision
                for finding in findings
                if finding.revision in self._doubtful and finding.rule != "uplift"
            )
        )[:MAX_ASKED]
        if not asked:
            return findings
        old = frozenset(asked) - await ask_new(asked)
        return [each for each in findings if each.rule == "uplift" or each.revision not in old]

    async def _reread(self, bugs: list[int], deadline: float) -> bool:
        """Ask for the bugs once more; return whether anything is known better now."""
        reread, loop = self._source.reread, asyncio.get_running_loop()
        limits = self._desk.policy.limits
        left = min(limits.reread_ms / 1000, deadline - loop.time())
        if reread is None or left <= 0 or len(bugs) > MAX_REREAD or self._source.frozen:
            return False

        async def one(bug: int) -> Record | None:
            return await reread(self._source.name, bug)

        tasks = [loop.create_task(one(bug)) for bug in bugs]
        done, late = await asyncio.wait(tasks, timeout=left)
        for task in late:
            task.cancel()
        self._desk.metrics.count("rereads_total", len(late), result="late")
        self._desk.metrics.count("rereads_total", len(done), result="answered")
        return any(not task.exception() and task.result() is not None for task in done)

    def _conclude(self, findings: list[Finding]) -> Answer:
        """Return the verdict, from here on the answer whatever happens; writing it down has begun."""
        desk = self._desk
        limits = desk.policy.limits
        learned = [each.bug for each in findings if each.sensitive and each.severity != "noted"]
        hits = desk.quota.spend(
            self.pusher.key, learned, desk.knowledge.now_ms(), limits.sensitive_hits_per_day
        )
        exceeded = hits is None and bool(learned)
        link = desk.policy.feed_of(self._source.name).link
        wording = Wording(link, limits.shown_bugs, generic=exceeded)
        verdict = judge(findings, wording)
        if findings:
            self._write_down(verdict, hits or [], exceeded=exceeded)
        desk.fired(self.repository, self.hook, verdict.outcome)
        desk.metrics.count("pushes_total", repository=self._label, outcome=verdict.outcome)
        if verdict.would_reject:
            desk.metrics.count("would_reject_total", repository=self._label)
        self._answer = Answer(verdict.outcome, verdict.text)
        return self._answer

    def _write_down(self, verdict: Verdict, hits: list[Hit], *, exceeded: bool) -> None:
        desk, findings = self._desk, verdict.findings
        for finding in findings:
            desk.metrics.count("findings_total", rule=finding.rule, severity=finding.severity)
        entries: list[Entry] = [
            desk.entry(
                "push",
                self.repository,
                self.pusher.key,
                verdict.outcome,
                uid=self.pusher.uid,
                hook=self.hook,
                commits=self.commits,
                wouldReject=verdict.would_reject,
                findings=[list(finding) for finding in findings[:MAX_AUDITED]],
                more=max(0, len(findings) - MAX_AUDITED),
            )
        ]
        if exceeded:
            desk.metrics.count("quota_alerts_total")
            _log.warning("a pusher asked about too many sensitive bugs", pusher=self.pusher.key)
            entries.append(desk.entry("quota", self.repository, self.pusher.key, "exceeded"))
        passed = [
            Passed(self.repository, each.revision, each.bug, each.rule, entries[0].at_ms)
            for each in findings
            if each.relaxed == "override" and verdict.outcome != "reject"
        ]
        self._writing = desk.knowledge.ledger.begin(desk.record(entries, hits, passed))
        if self._writing is None:
            desk.metrics.count("errors_total", kind="audit-dropped")
            _log.error("the audit trail was not written: too much waits", repository=self.repository)

    async def fall_back(self, why: str, outcome: str) -> Answer:
        """Return what holds when no decision is possible, and write that down."""
        desk = self._desk
        closed = self.policy.fail == "closed"
        result = f"{outcome}-{'rejected' if closed else 'allowed'}"
        desk.fired(self.repository, self.hook, result)
        desk.metrics.count("pushes_total", repository=self._label, outcome=result)
        _log.warning("a push could not be decided on", repository=self.repository, why=why, closed=closed)
        entry = desk.entry(
            "push", self.repository, self.pusher.key, result, uid=self.pusher.uid, hook=self.hook, why=why
        )
        desk.record_later(entry)
        if closed:
            return Answer(
                "reject", f"liftlock: push rejected: the gate can't decide ({why}): ask an operator"
            )
        return Answer(
            "warn",
            f"liftlock: the gate could not check this push ({why}); it was let in and is audited later",
        )

    @property
    def _label(self) -> str:
        return self.repository if self.repository in self._desk.policy.repositories else "other"


def exempt_globs(policy: RepositoryPolicy) -> list[str]:
    """Return patterns, as git's `--exclude` takes them, of the refs whose commits nobody looks at when they come."""
    names = [name for name in policy.exempt_refs if "\n" not in name]
    return [*names, *(f"refs/heads/{name}" for name in names if not name.startswith("refs/"))]


def _rejects(findings: Sequence[Finding]) -> bool:
    return any(finding.severity == "reject" for finding in findings)
