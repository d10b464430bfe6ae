"""The one-time link that the first start shows on a terminal, so that whoever installed liftlock can open its pages at once.

The supervisor makes it and the control plane stores its digest. It is not made where nobody looks: what a service manager
keeps of a program's output is read by others.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from liftlock.domain.credentials.page_sessions import SECRET_BYTES, secret_text, stored_id
from liftlock.ports.entropy import Entropy
from liftlock.processes.settings import ControlPlaneSettings
from liftlock.processes.state_directory import ROOT_CLIENT

FIRST_LINK_LASTS: Final = timedelta(minutes=30)


class FirstSignIn:
    """The link of a first start, or none."""

    def __init__(self, entropy: Entropy, *, wanted: bool) -> None:
        self._secret = secret_text(entropy.token_bytes(SECRET_BYTES)) if wanted else ""
        self._told = False

    def settings(self, settings: ControlPlaneSettings) -> bytes:
        """Return the settings as the control plane gets them, with the link's stored id the first time only."""
        first = "" if self._told or not self._secret else stored_id(self._secret) or ""
        self._told = True
        return msgspec.json.encode(msgspec.structs.replace(settings, first_sign_in=first))

    def line(self, root_url: str) -> str:
        """Return what to say of signing in."""
        if not self._secret:
            return f"sign in to the pages: liftlock access sign-in-link {ROOT_CLIENT}"
        minutes = FIRST_LINK_LASTS // timedelta(minutes=1)
        return f"sign in to the pages, once, within {minutes} minutes: {root_url}/sign-in/link/{self._secret}"
