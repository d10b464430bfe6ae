"""A provider of GitHub's kind: OAuth2, then its user API says who it is and which teams it belongs to."""

from __future__ import annotations

from typing import Any

from liftlock.adapters.login.answers import Configured, client_of, fetch, redeem
from liftlock.domain.credentials.login_identity import Identity, identity_of
from liftlock.domain.credentials.login_settings import ProviderSettings
from liftlock.errors import ProviderFailedError

_IN_THE_FORM = "client_secret_post"
"""How GitHub documents that a program proves itself."""
_PAGES = 5
_PER_PAGE = 100


class GithubProvider(Configured):
    """Implements `ports.identity_provider.IdentityProvider`. `issuer` is the site, `api` its API's address."""

    def __init__(self, told: ProviderSettings) -> None:
        super().__init__(told)
        self._site = told.issuer.rstrip("/")

    async def address(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Return where to send the browser; see the port. There is no id token that the nonce could stand in."""
        async with client_of(self._told, redirect_uri, scope=self._told.scope or "read:org") as client:
            url, _ = client.create_authorization_url(
                f"{self._site}/login/oauth/authorize", state=state, code_verifier=verifier
            )
        return str(url)

    async def identify(self, redirect_uri: str, code: str, nonce: str, verifier: str) -> Identity:
        """Return who the code stands for, by the account's number: logins are changed and given to others."""
        async with client_of(self._told, redirect_uri, token_endpoint_auth_method=_IN_THE_FORM) as client:
            await redeem(self._told, client, f"{self._site}/login/oauth/access_token", code, verifier)
            api = self._told.api.rstrip("/")
            user = await fetch(self._told, client, f"{api}/user")
            teams = await self._teams(client, api)
        if not isinstance(user, dict):
            raise ProviderFailedError(f"{self._told.label} answered no account")
        wanted = self._told.groups
        groups = [team for team in teams if wanted is None or team in wanted]
        return identity_of(self._told.name, user.get("id"), user.get("login"), groups)

    async def _teams(self, client: Any, api: str) -> list[str]:
        found: list[str] = []
        for page in range(1, _PAGES + 1):
            teams = await fetch(
                self._told, client, f"{api}/user/teams", params={"per_page": _PER_PAGE, "page": page}
            )
            try:
                found += [f"{team['organization']['login']}/{team['slug']}" for team in teams]
            except (TypeError, KeyError) as error:
                raise ProviderFailedError(f"{self._told.label} answered no teams") from error
            if len(teams) < _PER_PAGE:
                break
        return found
