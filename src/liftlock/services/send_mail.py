"""Send queued e-mail: one step of the loop that does so. A mail server that is away for long loses messages, not the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from liftlock.ports.clock import Clock
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.leases import Leases
from liftlock.ports.mail import Mailer, MailFailedError, MailStore, WaitingMail
from liftlock.ports.small_stores import Address, Denylist

LEASE: Final = timedelta(minutes=5)
BATCH: Final = 20
FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(hours=1)
MAX_FAILURES: Final = 50
"""After which a message is given up: about two days."""

_log = structlog.get_logger(__name__)


class SendMail:
    """Sends; of several control planes, the one that holds the lease."""

    def __init__(
        self,
        store: MailStore,
        mailer: Mailer,
        denylist: Denylist,
        leases: Leases,
        clock: Clock,
        holder: str,
    ) -> None:
        self._store = store
        self._mailer = mailer
        self._denylist = denylist
        self._leases = leases
        self._clock = clock
        self._holder = holder

    async def step(self) -> int:
        """Send what is ready and return how many messages went."""
        ready = await self._store.ready(self._clock.now(), BATCH)
        if not ready:
            return 0
        if not await self._leases.hold("mail", self._holder, now=self._clock.now(), duration=LEASE):
            return 0
        return sum([await self._send(one) for one in ready])

    async def _send(self, waiting: WaitingMail) -> bool:
        """Send one message, unless its address asked for none meanwhile."""
        if await self._denylist.denies(Address("email", waiting.mail.to)):
            await self._store.done(waiting.id)
            return False
        try:
            await self._mailer.send(waiting.mail)
        except MailFailedError as error:
            await self._failed(waiting, error)
            return False
        await self._store.done(waiting.id)
        return True

    async def _failed(self, waiting: WaitingMail, error: MailFailedError) -> None:
        failures = waiting.failures + 1
        if error.details.get("again") and failures < MAX_FAILURES:
            wait = min(FIRST_WAIT * (1 << min(failures - 1, 16)), LONGEST_WAIT)
            await self._store.failed(waiting.id, self._clock.now() + wait)
            return
        _log.warning("an e-mail was given up", error=error.message)
        subject = f"address/email/{waiting.mail.to}"
        audit = AuditRecord("notify/mail", "notify.giveUp", subject, "refused", {"error": error.message})
        await self._store.queue(Envelope(self._clock.now(), audit=(audit,)))
        await self._store.done(waiting.id)
