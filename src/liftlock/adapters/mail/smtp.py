"""Mailer by SMTP: one connection a message, encrypted unless the operator says otherwise.

Source: docs/reference/notify.md#mail-server
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email import policy
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from liftlock.errors import InputInvalidError
from liftlock.ports.mail import MailFailedError, QueuedMail

ANSWER_S = 20.0
_TLS = ("starttls", "implicit", "none")


class SmtpServer(msgspec.Struct, frozen=True):
    """Where mail is handed over; `tls` is starttls, implicit or none."""

    host: str
    port: int
    tls: str
    sender: str
    user: str | None = None
    password: str | None = None


def parse_server(url: str) -> SmtpServer:
    """Return the mail server that `smtp[s]://[USER:PASSWORD@]HOST[:PORT]?from=ADDRESS[&tls=none]` names.

    Raises:
        InputInvalidError: it is not of that form; the message does not repeat it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        port = parts.port
    except ValueError as error:
        raise InputInvalidError(
            "the mail server's address: expected smtp://HOST:PORT?from=ADDRESS"
        ) from error
    implicit = parts.scheme == "smtps"
    tls = options.pop("tls", "implicit" if implicit else "starttls")
    sender = options.pop("from", "")
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/") or options:
        raise InputInvalidError(
            "the mail server's address: expected smtp[s]://[USER:PASSWORD@]HOST[:PORT]?from=ADDRESS[&tls=none]"
        )
    if tls not in _TLS or (implicit and tls != "implicit"):
        raise InputInvalidError("the mail server's tls: expected starttls or none, and nothing with smtps")
    if "@" not in sender or any(character.isspace() for character in sender):
        raise InputInvalidError("the mail server's from: expected the address that messages come from")
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if implicit else 587),
        tls=tls,
        sender=sender,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


class SmtpMailer:
    """Implements `ports.mail.Mailer`."""

    def __init__(self, server: SmtpServer, *, answer_s: float = ANSWER_S) -> None:
        self._server = server
        self._answer_s = answer_s

    async def send(self, mail: QueuedMail) -> None:
        """Send; see the port. In a thread: the library waits."""
        await asyncio.to_thread(self._send, mail)

    def _send(self, mail: QueuedMail) -> None:
        message = _message(mail, self._server.sender)
        try:
            with self._connect() as connection:
                # Not `send_message`, which writes `>From` for a line that begins with `From`.
                connection.sendmail(self._server.sender, [mail.to], message.as_bytes(policy=policy.SMTP))
        except smtplib.SMTPResponseException as error:
            raise MailFailedError(
                f"the mail server answered {error.smtp_code}", again=error.smtp_code < 500
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise MailFailedError(
                f"the mail server refused the recipient: {codes}", again=all(code < 500 for code in codes)
            ) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise MailFailedError(f"the mail server: {type(error).__name__}", again=True) from error

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        context = ssl.create_default_context()
        if server.tls == "implicit":
            made: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=self._answer_s, context=context
            )
        else:
            made = smtplib.SMTP(server.host, server.port, timeout=self._answer_s)
        try:
            if server.tls == "starttls":
                made.starttls(context=context)
            if server.user is not None:
                made.login(server.user, server.password or "")
        except BaseException:
            made.close()
            raise
        return made


def _message(mail: QueuedMail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    if mail.reply_to is not None:
        message["Reply-To"] = mail.reply_to
    message.set_content(mail.text)
    return message
