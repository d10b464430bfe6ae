"""Sending e-mail."""

from __future__ import annotations

from typing import Protocol


class Mailer(Protocol):
    """Sends plain text."""

    async def send(self, to: str, subject: str, text: str, *, reply_to: str | None) -> None:
        """Hand the message to the mail server.

        Raises:
            StorageError: the server can't be reached or refuses it.
        """
        ...
