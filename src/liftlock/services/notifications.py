"""Notifications: e-mail where a mail server is configured, a clear answer where nothing can be sent.

Source: docs/reference/notify.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from liftlock.domain.events.mail_routes import ADDRESS
from liftlock.errors import InputInvalidError
from liftlock.ports.mail import MailStore, QueuedMail
from liftlock.ports.small_stores import Address, Denylist
from liftlock.services.authorize import Caller

_ADDRESS = re.compile(ADDRESS + r"\Z", re.ASCII)


class Notifications:
    """Sends what callers may send to addresses that are not denied."""

    def __init__(self, denylist: Denylist, mail: MailStore | None) -> None:
        """Make the service; `mail` None: no mail server is configured, and every e-mail is refused."""
        self._denylist = denylist
        self._mail = mail

    async def email(self, caller: Caller, given: Mapping[str, Any], now: datetime) -> None:
        """Queue an e-mail of plain text: once this returns it will be sent, also if the mail server is away now.

        Raises:
            RefusedError, InputInvalidError: may not; the address is denied; no mail server is configured.
        """
        address = given["address"]
        caller.require(f"notify:email:{address}")
        await self._expect_allowed(Address("email", address))
        if not all(each.isprintable() for each in (address, given["subject"], given.get("replyTo", ""))):
            raise InputInvalidError(
                "address, subject and replyTo: expected one line each, of printable characters"
            )
        if _ADDRESS.match(address) is None or _ADDRESS.match(given.get("replyTo", "a@b")) is None:
            raise InputInvalidError(
                "address and replyTo: expected one e-mail address each, such as a@example.com"
            )
        if self._mail is None:
            raise InputInvalidError("no mail server is configured here, so that no e-mail can be sent")
        text = given["content"]
        if "link" in given:
            text += f"\n\n{given['link']['text']}: {given['link']['href']}\n"
        mail = QueuedMail(address, given["subject"], text, given.get("replyTo"))
        audit = caller.record("notify.email", f"address/email/{address}", "allowed", title=given["subject"])
        await self._mail.queue(caller.envelope(now, audit, records=(mail,)))

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
