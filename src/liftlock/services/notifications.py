"""Notifications: e-mail where a mail server is configured, a clear answer where nothing can be sent.

Source: docs/reference/notify.md
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from liftlock.errors import InputInvalidError
from liftlock.ports.mail import Mailer
from liftlock.ports.small_stores import Address, Denylist
from liftlock.services.authorize import Caller


class Notifications:
    """Sends what callers may send to addresses that are not denied."""

    def __init__(self, denylist: Denylist, mailer: Mailer | None) -> None:
        """Make the service; `mailer` None: no mail server is configured, and every e-mail is refused."""
        self._denylist = denylist
        self._mailer = mailer

    async def email(self, caller: Caller, given: Mapping[str, Any]) -> None:
        """Send an e-mail of plain text.

        Raises:
            RefusedError, InputInvalidError: may not; the address is denied; no mail server is configured.
        """
        address = given["address"]
        caller.require(f"notify:email:{address}")
        await self._expect_allowed(Address("email", address))
        if any(character in address + given["subject"] + given.get("replyTo", "") for character in "\r\n"):
            raise InputInvalidError("address, subject and replyTo: expected one line each")
        if self._mailer is None:
            raise InputInvalidError("no mail server is configured here, so that no e-mail can be sent")
        text = given["content"]
        if "link" in given:
            text += f"\n\n{given['link']['text']}: {given['link']['href']}\n"
        await self._mailer.send(address, given["subject"], text, reply_to=given.get("replyTo"))

    async def elsewhere(self, caller: Caller, kind: str, scope: str, address: str) -> None:
        """Refuse, saying why: nothing is sent to chat rooms or message brokers on a caller's behalf.

        Raises:
            RefusedError, InputInvalidError: always one of them.
        """
        caller.require(f"{scope}:{address}")
        await self._expect_allowed(Address(kind, address))
        raise InputInvalidError(
            f"notifications of kind {kind} are not sent from here; subscribe to this server's events instead"
        )

    async def deny(self, caller: Caller, address: Address, now: datetime) -> None:
        """Let the address get no notifications any more."""
        caller.require("notify:manage-denylist")
        audit = caller.record("notify.addDenylistAddress", f"address/{address.kind}/{address.address}")
        await self._denylist.add(address, caller.envelope(now, audit))

    async def allow(self, caller: Caller, address: Address, now: datetime) -> None:
        """Let the address get notifications again."""
        caller.require("notify:manage-denylist")
        audit = caller.record("notify.deleteDenylistAddress", f"address/{address.kind}/{address.address}")
        await self._denylist.remove(address, caller.envelope(now, audit))

    async def denied(self, caller: Caller, after: Address, limit: int) -> list[Address]:
        """Return a page of denied addresses."""
        caller.require("notify:manage-denylist")
        return await self._denylist.listed(after, limit)

    async def _expect_allowed(self, address: Address) -> None:
        if await self._denylist.denies(address):
            raise InputInvalidError(f"{address.kind} {address.address!r} has asked for no notifications")
