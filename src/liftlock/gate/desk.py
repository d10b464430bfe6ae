"""Everything that a decision needs, in one place: policy, knowledge, quotas, the audit trail, figures.

Source: docs/reference/gate.md
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from liftlock.domain.pushes.gate_policy import GatePolicy, RepositoryPolicy
from liftlock.domain.pushes.gate_rules import Circumstances
from liftlock.errors import StorageError
from liftlock.gate.feeding import Feeding
from liftlock.gate.knowledge import Knowledge, Source
from liftlock.gate.metrics import Metrics
from liftlock.gate.quota import DAY_MS, Quota
from liftlock.ports.gate_state import Entry, Firing, Hit, Kind, Passed

_log = structlog.get_logger(__name__)
MAX_REPOSITORIES: Final = 2_000
"""Names that hooks may make up before firings are no longer remembered for new ones."""
FIRINGS_EVERY_S: Final = 5.0
MAX_ALIKE: Final = 20
"""Entries in an hour about pushes of one actor with the same findings and answer; further ones are only counted."""
MAX_PUSHES: Final = 2_000
"""Entries in an hour about one actor's pushes of all kinds."""
MAX_ENTRIES_AN_HOUR: Final = 200
"""Entries of one actor about what was not decided on: malformed questions, strangers turned away."""


@dataclass(frozen=True, slots=True)
class Pusher:
    """Who asks. `key`: what quotas and the audit trail count by; `vouched`: a host's adapter said who it is."""

    uid: int
    key: str
    name: str
    vouched: bool


class Desk:
    """Shared by all connections. `uid_of` maps a user's name or number to the number, or None."""

    def __init__(
        self, policy: GatePolicy, knowledge: Knowledge, metrics: Metrics, uid_of: Callable[[str], int | None]
    ) -> None:
        self.knowledge = knowledge
        self.metrics = metrics
        self.quota = Quota(())
        self.canaries: dict[bytes, float] = {}
        """Tokens of canary pushes that are awaited: token to the monotonic time at which it is forgotten."""
        self.firings: dict[tuple[str, str], Firing] = {}
        self.installed: dict[str, str] = {}
        """What hooks do when gated does not answer, as they were installed: repository to open or closed."""
        self._unsaved: set[tuple[str, str]] = set()
        self._uid_of = uid_of
        self._waiting: set[asyncio.Task[None]] = set()
        self._recorded: Counter[str] = Counter()
        self._folded: Counter[str] = Counter()
        self._hour_began = float("-inf")
        self.take_policy(policy)

    def take_policy(self, policy: GatePolicy) -> None:
        """Decide by this policy from now on."""
        self.policy = policy
        self._adapters = {
            uid: each.variable for each in policy.adapter if (uid := self._uid_of(each.user)) is not None
        }
        self.operators = self.uids(policy.operators)
        self.feeders = self.uids(policy.feed_users)

    def shares_user(self, uid: int) -> bool:
        """Whether a host's own user asks, for all of its pushers."""
        return uid in self._adapters

    def uids(self, users: Iterable[str]) -> frozenset[int]:
        """Return the numbers of those of the users that exist."""
        return frozenset(uid for user in users if (uid := self._uid_of(user)) is not None)

    async def load(self) -> None:
        """Take over what the last process left."""
        await self.knowledge.load()
        ledger = self.knowledge.ledger
        self.quota = Quota(await ledger.do(lambda state: state.hits(self.knowledge.now_ms() - DAY_MS)))
        self.firings = {
            (each.repository, each.hook): each for each in await ledger.do(lambda state: state.firings())
        }
        hooks = await ledger.do(lambda state: state.entries(MAX_REPOSITORIES, "hook"))
        self.installed = {each.repository: str(each.details.get("fail")) for each in reversed(hooks)}

    def feeding(self) -> Feeding:
        """Return what applies the messages of a new connection of feedd."""
        return Feeding(self.knowledge, lambda: self.policy, self.metrics)

    def pusher(self, uid: int, hello: Mapping[str, str]) -> Pusher:
        """Return who asks: what a hook says of that counts only from a host's own user.

        It does not matter to which repository: whoever makes one up must not become another pusher by that.
        """
        variable = self._adapters.get(uid)
        name = hello.get(f"env.{variable}", "")[:255] if variable else ""
        if name:
            return Pusher(uid, f"{variable}:{name}", name, vouched=True)
        return Pusher(uid, f"uid {uid}", "", vouched=False)

    def circumstances(self, repository: str, policy: RepositoryPolicy, source: Source) -> Circumstances:
        """Return what holds for a push at this moment."""
        feed = self.policy.feed_of(source.name)
        age = source.age_s(self.knowledge.monotonic())
        too_old = age is None or age > policy.max_stale_s
        highest = source.highest_bug
        return Circumstances(
            policy=policy,
            known=source.records.get,
            overridden=lambda bug: self.knowledge.overridden(source.name, bug, repository),
            approval_flag=feed.approval_flag,
            stale=too_old and policy.fail == "open",
            beyond=None if highest is None else highest + feed.ahead + 1,
        )

    def fired(self, repository: str, hook: str, outcome: str) -> None:
        """Remember that a hook asked; it is written down by and by."""
        key = (repository, hook)
        before = self.firings.get(key)
        known = repository in self.policy.repositories
        if before is None and not known and len(self.firings) >= MAX_REPOSITORIES:
            return
        self.firings[key] = Firing(
            repository=repository,
            hook=hook,
            at_ms=self.knowledge.now_ms(),
            outcome=outcome,
            pushes=before.pushes + 1 if before else 1,
        )
        self._unsaved.add(key)

    async def save_firings(self) -> None:
        """Write down what hooks fired since the last time."""
        keys, self._unsaved = self._unsaved, set()
        if keys:
            try:
                await self.knowledge.ledger.do(lambda state: state.fired([self.firings[key] for key in keys]))
            except StorageError as error:
                self._unsaved |= keys
                self.metrics.count("errors_total", kind="state")
                _log.error("firings were not written down", error=error.message)

    async def record(
        self, entries: Sequence[Entry], hits: Sequence[Hit] = (), passed: Sequence[Passed] = ()
    ) -> None:
        """Append to the audit trail; a decision stands even if the disk does not take it, and that is loud.

        Repetitions of one actor's pushes are folded: nobody shall push others' entries out of the trail.
        """
        kept = [*self._folded_before(), *(entry for entry in entries if self._is_news(entry))]
        if not kept and not hits and not passed:
            return
        try:
            await self.knowledge.ledger.do(lambda state: state.record(kept, hits, passed))
        except StorageError as error:
            self.metrics.count("errors_total", kind="audit")
            _log.error("the audit trail was not written", error=error.message, entries=len(entries))

    def _turn_hour(self) -> None:
        now = self.knowledge.monotonic()
        if now - self._hour_began >= 3_600:
            self._hour_began = now
            self._recorded.clear()

    def _folded_before(self) -> list[Entry]:
        """Return an entry for each actor of whose pushes some were folded in the hours before this one."""
        if self.knowledge.monotonic() - self._hour_began < 3_600 or not self._folded:
            return []
        folded, self._folded = self._folded, Counter()
        return [self.entry("push", "", actor, "folded", pushes=count) for actor, count in folded.items()]

    def _is_news(self, entry: Entry) -> bool:
        if entry.kind != "push" or not entry.details.get("findings"):
            return True  # what was not decided on is bounded by `record_later`
        self._turn_hour()
        named = entry.repository if entry.repository in self.policy.repositories else ""
        found = sorted({(str(each[0]), int(each[3])) for each in entry.details["findings"]})
        alike = msgspec.json.encode([entry.actor, named, entry.outcome, found]).decode()
        if self._recorded[alike] < MAX_ALIKE and self._recorded[f"pushes of {entry.actor}"] < MAX_PUSHES:
            self._recorded[alike] += 1
            self._recorded[f"pushes of {entry.actor}"] += 1
            return True
        self._folded[entry.actor] += 1
        self.metrics.count("errors_total", kind="audit-folded")
        return False

    def record_later(self, entry: Entry) -> None:
        """Append without waiting. Of one actor so many in an hour: nobody shall push others' entries out of the trail."""
        self._turn_hour()
        self._recorded[entry.actor] += 1
        if self._recorded[entry.actor] > MAX_ENTRIES_AN_HOUR:
            self.metrics.count("errors_total", kind="audit-dropped")
            return
        task = asyncio.get_running_loop().create_task(self.record([entry]))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def drain(self) -> None:
        """Wait for what is still to be written, before the end."""
        await asyncio.gather(*self._waiting, return_exceptions=True)
        await self.save_firings()

    def entry(self, kind: Kind, repository: str, actor: str, outcome: str, **details: object) -> Entry:
        """Return an audit entry of this moment."""
        return Entry(
            at_ms=self.knowledge.now_ms(),
            kind=kind,
            repository=repository,
            actor=actor,
            outcome=outcome,
            details=dict(details),
        )
