"""Identity providers: where a browser is sent, and who comes back."""

from __future__ import annotations

from typing import Protocol

from liftlock.domain.credentials.login_identity import Identity


class IdentityProvider(Protocol):
    """One identity provider."""

    @property
    def name(self) -> str:
        """The name in addresses and client ids."""
        ...

    @property
    def label(self) -> str:
        """What the sign-in page says."""
        ...

    @property
    def issuer(self) -> str:
        """Its issuer, compared with what an answer says it comes from."""
        ...

    async def address(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Return where to send the browser; raises ProviderFailedError."""
        ...

    async def identify(self, redirect_uri: str, code: str, nonce: str, verifier: str) -> Identity:
        """Return who the code stands for.

        Raises:
            ProviderFailedError: the provider can't be reached, or what it said does not verify.
            AuthenticationFailedError: it names nobody in a usable form.
        """
        ...
