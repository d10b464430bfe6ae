"""Sending events to addresses that others gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from liftlock.errors import LiftlockError


class SendingFailedError(LiftlockError):
    """The request got no answer that takes the event; the message says why."""

    code = "SendingFailed"


class WebhookSender(Protocol):
    """Posts JSON over http and https, to public addresses and those that the operator named."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Return when the receiver took the event: a status of 2xx. Redirects are not followed.

        Raises:
            SendingFailedError: another status, no answer in time, or an address that must not be connected to.
        """
        ...
