"""E-mail: queued with the change that causes it, sent afterwards until the mail server took it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from liftlock.errors import LiftlockError
from liftlock.ports.envelope import Envelope


class MailFailedError(LiftlockError):
    """The mail server was not reached or did not take the message. The detail `again` is true if it may later."""

    code = "MailFailed"


class QueuedMail(msgspec.Struct, frozen=True):
    """A message of plain text; in an envelope's records it is queued with the change."""

    to: str
    subject: str
    text: str
    reply_to: str | None = None


class WaitingMail(msgspec.Struct, frozen=True):
    """A queued message that was not sent yet."""

    id: int
    mail: QueuedMail
    failures: int


class MailStore(Protocol):
    """Keeps messages until they are sent."""

    async def queue(self, envelope: Envelope) -> None:
        """Commit the envelope, whose records hold the messages."""
        ...

    async def ready(self, now: datetime, limit: int) -> list[WaitingMail]:
        """Return messages that may be tried now, the oldest first."""
        ...

    async def done(self, number: int) -> None:
        """Forget the message: it was sent or given up."""
        ...

    async def failed(self, number: int, again: datetime) -> None:
        """Try the message again then."""
        ...


class Mailer(Protocol):
    """Sends plain text."""

    async def send(self, mail: QueuedMail) -> None:
        """Hand the message to the mail server.

        Raises:
            MailFailedError: the server can't be reached or refuses it.
        """
        ...
