"""Sign in by an identity provider: send a browser there, and believe what comes back only for that very browser.

Source: docs/how-to/sign-in.md
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from liftlock.domain.credentials.page_sessions import SECRET_BYTES, secret_text, stored_id
from liftlock.errors import AuthenticationFailedError, NotFoundError
from liftlock.ports.entropy import Entropy
from liftlock.ports.identity_provider import IdentityProvider
from liftlock.ports.login_store import LoginAttempt, LoginStore
from liftlock.services.page_sessions import PageSessions, Started
from liftlock.values.instants import to_ms

ATTEMPT_LASTS: Final = timedelta(minutes=10)
_STRANGER: Final = "this sign-in was not begun in this browser, took longer than ten minutes, or was used before: sign in again"


@dataclass(frozen=True, slots=True)
class SentAway:
    """Where the browser goes, and the secret it is to hold meanwhile."""

    url: str
    browser_secret: str

    def __repr__(self) -> str:
        return "SentAway(…)"


class ProviderLogin:
    """Begins and ends sign-ins by the installation's identity providers."""

    def __init__(
        self,
        providers: Sequence[IdentityProvider],
        store: LoginStore,
        sessions: PageSessions,
        entropy: Entropy,
    ) -> None:
        self._providers = {one.name: one for one in providers}
        self._store = store
        self._sessions = sessions
        self._entropy = entropy

    @property
    def providers(self) -> tuple[IdentityProvider, ...]:
        """All providers, as configured."""
        return tuple(self._providers.values())

    async def begin(self, name: str, redirect_uri: str, wanted: str, now: datetime) -> SentAway:
        """Return where to send a browser that wants to sign in and to come to the path `wanted`.

        Raises:
            NotFoundError: there is no such provider.
            ProviderFailedError: it does not answer.
        """
        provider = self._of(name)
        state, browser, verifier = self._secret(), self._secret(), self._secret()
        nonce = self._secret()
        url = await provider.address(redirect_uri, state, nonce, verifier)
        attempt = LoginAttempt(
            id=stored_id(state) or "",
            provider=name,
            browser=stored_id(browser) or "",
            verifier=verifier,
            nonce=nonce,
            next=wanted,
            expires_ms=to_ms(now + ATTEMPT_LASTS),
        )
        await self._store.begin(attempt)
        return SentAway(url, browser)

    async def finish(
        self,
        name: str,
        redirect_uri: str,
        answer: Mapping[str, str],
        browser_secret: str | None,
        old_secret: str | None,
        now: datetime,
    ) -> tuple[Started, str]:
        """Return the session that begins, and the path that was wanted.

        Raises:
            AuthenticationFailedError: another browser began this, it is over or was used, the provider said no, or the
                answer is another provider's.
            ProviderFailedError: the provider does not stand behind its answer.
        """
        provider = self._of(name)
        attempt = await self._attempt(name, answer.get("state", ""), browser_secret, now)
        if "iss" in answer and answer["iss"] != provider.issuer:
            raise AuthenticationFailedError(
                f"the answer says that it comes from {answer['iss'][:120]!r}, not from {provider.label}"
            )
        if "error" in answer or not answer.get("code"):
            raise AuthenticationFailedError(
                f"{provider.label} did not sign you in: {answer.get('error', 'no code')[:80]}"
            )
        identity = await provider.identify(redirect_uri, answer["code"], attempt.nonce, attempt.verifier)
        started = await self._sessions.begin(
            identity.client_id, identity.scopes, now, method=provider.name, old_secret=old_secret
        )
        return started, attempt.next

    async def _attempt(
        self, name: str, state: str, browser_secret: str | None, now: datetime
    ) -> LoginAttempt:
        state_id = stored_id(state)
        browser_id = stored_id(browser_secret or "")
        if state_id is None or browser_id is None:
            raise AuthenticationFailedError(_STRANGER)
        attempt = await self._store.take_attempt(state_id)
        if (
            attempt is None
            or attempt.provider != name
            or not hmac.compare_digest(attempt.browser, browser_id)
            or to_ms(now) >= attempt.expires_ms
        ):
            raise AuthenticationFailedError(_STRANGER)
        return attempt

    def _of(self, name: str) -> IdentityProvider:
        found = self._providers.get(name)
        if found is None:
            raise NotFoundError(f"there is no way to sign in called {name[:40]!r}")
        return found

    def _secret(self) -> str:
        return secret_text(self._entropy.token_bytes(SECRET_BYTES))
