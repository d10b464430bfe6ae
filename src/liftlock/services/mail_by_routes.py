"""Queue e-mail about tasks for those whom routes of the tasks name: one step of the loop that does so.

A message may be queued twice if a control plane dies between queueing and moving on; none is lost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from liftlock.domain.events.mail_routes import recipients
from liftlock.domain.events.naming import Message
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.event_log import EventCursors, EventLog
from liftlock.ports.leases import Leases
from liftlock.ports.mail import MailStore, QueuedMail
from liftlock.ports.task_store import TaskStore
from liftlock.values.json import decode

READER: Final = "mail by routes"
LEASE: Final = timedelta(seconds=60)
PAGE: Final = 200
MAX_SUBJECT: Final = 200
"""Characters of a task's name in a subject."""


class MailByRoutes:
    """Follows the log of events; of several control planes, the one that holds the lease."""

    def __init__(
        self,
        log: EventLog,
        cursors: EventCursors,
        tasks: TaskStore,
        mail: MailStore,
        leases: Leases,
        clock: Clock,
        holder: str,
        root_url: str,
    ) -> None:
        self._log = log
        self._cursors = cursors
        self._tasks = tasks
        self._mail = mail
        self._leases = leases
        self._clock = clock
        self._holder = holder
        self._root_url = root_url.rstrip("/")

    async def step(self) -> None:
        """Queue what is due for all that is new in the log."""
        while await self._leases.hold(READER, self._holder, now=self._clock.now(), duration=LEASE):
            place = await self._cursors.place(READER)
            if place is None:
                await self._cursors.move(READER, await self._log.newest())
                return
            page = await self._log.after(place, PAGE)
            for message in page.messages:
                await self._queue(message)
            if page.upto > place:
                await self._cursors.move(READER, page.upto)
            if not page.more:
                return

    async def _queue(self, message: Message) -> None:
        addresses = recipients(message)
        if not addresses:
            return
        mails = await self._mails(message, addresses)
        audit = tuple(
            AuditRecord(
                "notify/routes",
                "notify.email",
                f"address/email/{mail.to}",
                "allowed",
                {"taskId": message.key},
            )
            for mail in mails
        )
        await self._mail.queue(Envelope(self._clock.now(), audit=audit, records=mails))

    async def _mails(self, message: Message, addresses: tuple[str, ...]) -> tuple[QueuedMail, ...]:
        name = await self._name(message.key)
        state = message.topic.removeprefix("task-")
        subject = f"Task {state}: {name} ({message.key})"
        text = f"The task {name} is {state}.\n\n{self._root_url}/tasks/{message.key}\n"
        return tuple(QueuedMail(address, subject, text) for address in addresses)

    async def _name(self, task_id: str) -> str:
        """Return the task's name on one line of printable characters."""
        raw = await self._tasks.document(task_id)
        document = {} if raw is None else decode(bytes(raw), what="task")
        name = str(msgspec.to_builtins(document).get("metadata", {}).get("name", task_id))
        return "".join(each if each.isprintable() else " " for each in name)[:MAX_SUBJECT]
