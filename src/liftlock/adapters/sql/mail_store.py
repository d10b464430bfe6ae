"""Messages that wait to be sent, on both databases."""

from __future__ import annotations

from datetime import datetime

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.records import record_script
from liftlock.adapters.sql.script import Script, Sql
from liftlock.ports.envelope import Envelope
from liftlock.ports.mail import QueuedMail, WaitingMail
from liftlock.values.instants import to_ms


class SqlMailStore:
    """Implements `ports.mail.MailStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def queue(self, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield from ()

        await self._engine.write(script, envelope)

    async def ready(self, now: datetime, limit: int) -> list[WaitingMail]:
        def script() -> Script[list[WaitingMail]]:
            rows = yield Sql(
                "SELECT id, address, subject, body, reply_to, failures FROM mail"
                " WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2",
                (to_ms(now), limit),
            )
            return [
                WaitingMail(number, QueuedMail(to, subject, text, reply_to), failures)
                for number, to, subject, text, reply_to, failures in rows
            ]

        return await self._engine.read(script)

    async def done(self, number: int) -> None:
        def script() -> Script[None]:
            yield Sql("DELETE FROM mail WHERE id = $1", (number,))

        await self._engine.write(script, None)

    async def failed(self, number: int, again: datetime) -> None:
        def script() -> Script[None]:
            yield Sql(
                "UPDATE mail SET failures = failures + 1, next_at = $2 WHERE id = $1", (number, to_ms(again))
            )

        await self._engine.write(script, None)


@record_script(QueuedMail)
def insert_mail(mail: QueuedMail) -> Script[None]:
    """Queue the message; it may be sent at once."""
    yield Sql(
        "INSERT INTO mail(address, subject, body, reply_to, next_at, failures) VALUES ($1, $2, $3, $4, 0, 0)",
        (mail.to, mail.subject, mail.text, mail.reply_to),
    )
