"""Receive a webhook: believe it by its signature, refuse it a second time, and store what follows. Nothing is done here.

Source: docs/reference/github.md#webhooks
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from liftlock.domain.forge.deeds import Deed, Follows, Ignored, Refused, decide
from liftlock.domain.forge.happenings import CheckRun, CheckSaid, Envelope, dated, parse
from liftlock.domain.forge.settings import ForgeRepository, GitHubSettings
from liftlock.domain.forge.signature import is_signed
from liftlock.domain.pushes.push import Claim
from liftlock.errors import AuthenticationFailedError, InputInvalidError, RefusedError
from liftlock.ports import envelope as env
from liftlock.ports.forge_store import Delivery, ForgeStore, Watch, Work
from liftlock.ports.wakeups import Wakeups
from liftlock.services.watch_pushes import WatchPushes

CHANNEL: Final = "forge"
MAX_AGE: Final = timedelta(days=14)
"""What a webhook tells of may be so old if something is to follow. By then no delivery is forgotten, so none is taken twice."""
KEPT: Final = timedelta(days=30)
"""How long deliveries are remembered; more than `MAX_AGE` by what clocks may differ."""
_DELIVERY = re.compile(r"[0-9A-Za-z-]{8,64}\Z", re.ASCII)
_EVENT = re.compile(r"[a-z0-9_]{1,64}\Z", re.ASCII)


class WebhookHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says beside its body; `target` is the number of the app that it is for, where that is said."""

    event: str
    delivery: str
    signature: str | None
    target: str | None = None


class ReceiveWebhook:
    """Takes webhooks of one app."""

    def __init__(
        self, settings: GitHubSettings, secret: bytes, store: ForgeStore, watch: WatchPushes, wakeups: Wakeups
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._store = store
        self._watch = watch
        self._wakeups = wakeups

    async def __call__(self, headers: WebhookHeaders, body: bytes, now: datetime) -> str:
        """Return what became of it, in a few words.

        Raises:
            AuthenticationFailedError: it is not signed with the webhook's secret; nothing in it was read.
            RefusedError: it is signed, and of another app, installation, repository or sender than the settings name.
            ConflictError: a delivery of this id was received before.
            InputInvalidError, MalformedPayloadError: it is none.
        """
        if not is_signed(self._secret, body, headers.signature):
            raise AuthenticationFailedError(
                "webhook: the signature is not that of the body by the webhook's secret"
            )
        if _DELIVERY.match(headers.delivery) is None or _EVENT.match(headers.event) is None:
            raise InputInvalidError("webhook: expected an event's name and a delivery's id in the headers")
        said = parse(headers.event, body)
        decided = await self._decide(headers, said, now)
        works = self._works(headers, decided)
        record = _record(headers, said, decided, body)
        await self._store.receive(
            Delivery(headers.delivery, headers.event),
            works,
            env.Envelope(now, audit=() if record is None else (record,)),
        )
        if isinstance(decided, Refused):
            raise RefusedError(f"webhook: {decided.reason}", rule="webhook")
        if isinstance(decided, Ignored):
            return f"ignored: {decided.reason}"
        await self._ring(decided)
        if works:
            self._wakeups.wake(CHANNEL)
        return decided.why or "accepted"

    async def _decide(
        self, headers: WebhookHeaders, said: Envelope, now: datetime
    ) -> Follows | Refused | Ignored:
        if headers.target is not None and headers.target != str(self._settings.app_id):
            return Refused(f"it is for the app {headers.target[:20]!r}")
        decided = decide(said, self._settings)
        if isinstance(decided, Follows) and isinstance(said, CheckSaid):
            decided = await self._check(said, decided)
        return (
            _too_old(said, now)
            if isinstance(decided, Follows) and decided.deeds and _is_old(said, now)
            else decided
        )

    async def _check(self, said: CheckSaid, decided: Follows) -> Follows | Refused | Ignored:
        """Match a check by app, number, external id and revision; what it is called says nothing."""
        run = said.check_run
        if run is None:
            return Ignored("no check")
        named = None if run.external_id is None else await self._store.watched(run.external_id)
        if run.app.id == self._settings.app_id:
            return await self._own_check(said, run, named, decided.repository)
        if named is None:
            return Ignored("another app's check")
        return Refused(f"check {run.id} of app {run.app.id} names an operation, and only our own may")

    async def _own_check(
        self, said: CheckSaid, run: CheckRun, named: Watch | None, repository: ForgeRepository
    ) -> Follows | Refused | Ignored:
        if said.action != "rerequested":
            return Ignored("we know what we said")
        known = await self._store.watch_of_check(repository.id, run.id)
        if known is None or known != named or known.revision != run.head_sha:
            return Refused(f"check {run.id} is none that was made here for this operation and revision")
        if known.kind == "decision":
            return Ignored("a decision task is not repeated by its check")
        client = self._settings.client_of(said.sender.id)
        if client is None:
            return Refused(f"sender {said.sender.id} is nobody whom the settings know")
        body = {
            "name": "retrigger",
            "arguments": {},
            "number": known.number,
            "operation": known.operation_id,
            "sender": said.sender.id,
            "client": client,
        }
        return Follows(repository, (Deed("command", "check", body),))

    def _works(self, headers: WebhookHeaders, decided: Follows | Refused | Ignored) -> list[Work]:
        if not isinstance(decided, Follows):
            return []
        return [
            Work(
                id=f"{headers.delivery}/{deed.key}",
                repository=decided.repository.id,
                kind=deed.kind,
                body=deed.body,
            )
            for deed in decided.deeds
        ]

    async def _ring(self, decided: Follows) -> None:
        ring, repository = decided.ring, decided.repository
        if ring is not None:
            claim = Claim(
                branch=ring.branch,
                revision=ring.revision,
                pusher=ring.pusher,
                authenticated=repository.vouches,
            )
            await self._watch.ring(repository.project, (claim,))


def _is_old(said: Envelope, now: datetime) -> bool:
    at = dated(said)
    return at is None or now - at > MAX_AGE


def _too_old(said: Envelope, now: datetime) -> Refused:
    at = dated(said)
    when = "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M}"
    return Refused(f"it is of {when}, and something may follow from it for {MAX_AGE.days} days only")


def _record(
    headers: WebhookHeaders, said: Envelope, decided: Follows | Refused | Ignored, body: bytes
) -> env.AuditRecord | None:
    if isinstance(decided, Ignored):
        return None
    refused = isinstance(decided, Refused)
    details = {
        "delivery": headers.delivery,
        "event": headers.event,
        "bodyDigest": hashlib.sha256(body).hexdigest(),
        "installation": None if said.installation is None else said.installation.id,
        **({"reason": decided.reason} if isinstance(decided, Refused) else {}),
    }
    where = "unknown" if said.repository is None else str(said.repository.id)
    return env.AuditRecord(
        f"github/{said.sender.id}",
        "forge.receive",
        f"forge/github/{where}",
        "refused" if refused else "allowed",
        details,
    )
