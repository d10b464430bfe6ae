"""An OpenID Connect provider: found by its discovery document, answers verified by its published keys."""

from __future__ import annotations

from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from liftlock.adapters.login.answers import Configured, client_of, fetch, redeem
from liftlock.domain.credentials.login_identity import Identity, identity_of
from liftlock.domain.credentials.login_settings import ProviderSettings, safe_url
from liftlock.errors import ProviderFailedError
from liftlock.ports.clock import Clock

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""Signatures by public keys alone: with `none` or HMAC anybody who knows what is public could sign."""
LEEWAY_S: Final = 60
_BASIC, _POST = "client_secret_basic", "client_secret_post"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class OidcProvider(Configured):
    """Implements `ports.identity_provider.IdentityProvider`."""

    def __init__(self, told: ProviderSettings, clock: Clock) -> None:
        super().__init__(told)
        self._clock = clock
        self._found: dict[str, str] | None = None

    async def address(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Return where to send the browser; see the port."""
        scope = self._told.scope or "openid profile email"
        async with client_of(self._told, redirect_uri, scope=scope) as client:
            found = await self._discover(client)
            url, _ = client.create_authorization_url(
                found["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    async def identify(self, redirect_uri: str, code: str, nonce: str, verifier: str) -> Identity:
        """Return who the code stands for; see the port."""
        async with client_of(self._told, redirect_uri) as client:
            found = await self._discover(client)
            token = await redeem(self._told, client, found["token_endpoint"], code, verifier)
            keys = await fetch(self._told, client, found["jwks_uri"], withhold_token=True)
        claims = self._verified(token, keys, nonce)
        groups = claims.get(self._told.groups_claim, ())
        wanted = self._told.groups
        return identity_of(
            self._told.name,
            claims["sub"],
            claims.get("email") or claims.get("preferred_username"),
            [one for one in groups if wanted is None or one in wanted] if isinstance(groups, list) else (),
        )

    async def _discover(self, client: Any) -> dict[str, str]:
        """Return the provider's addresses; they are read once."""
        if self._found is None:
            url = self._told.issuer.rstrip("/") + "/.well-known/openid-configuration"
            found = await fetch(self._told, client, url, withhold_token=True)
            if not isinstance(found, dict) or found.get("issuer") != self._told.issuer:
                raise ProviderFailedError(f"{self._told.label} does not say that it is {self._told.issuer}")
            for name in _ENDPOINTS:
                if not isinstance(found.get(name), str) or not safe_url(found[name]):
                    raise ProviderFailedError(f"{self._told.label}: {name}: expected https://…")
            ways = found.get("token_endpoint_auth_methods_supported")
            post = isinstance(ways, list) and _BASIC not in ways and _POST in ways
            self._found = {name: found[name] for name in _ENDPOINTS} | {"proof": _POST if post else _BASIC}
        client.token_endpoint_auth_method = self._found["proof"]
        return self._found

    def _verified(self, token: Any, keys: Any, nonce: str) -> dict[str, Any]:
        """Return the claims of the id token: signed by the provider, for us, for this attempt, not expired."""
        try:
            known = KeySet.import_key_set(keys)
            read = jwt.decode(str(token["id_token"]), known, algorithms=list(ALGORITHMS))
            claims = CodeIDToken(
                read.claims,
                read.header,
                options={
                    "iss": {"essential": True, "value": self._told.issuer},
                    "aud": {"essential": True, "value": self._told.client_id},
                },
                params={"nonce": nonce, "client_id": self._told.client_id},
            )
            claims.validate(now=int(self._clock.now().timestamp()), leeway=LEEWAY_S)
        except (JoseError, LookupError, ArithmeticError, ValueError, TypeError, RecursionError) as error:
            raise ProviderFailedError(
                f"{self._told.label}: what it says of you does not verify ({type(error).__name__})"
            ) from error
        return dict(claims)
