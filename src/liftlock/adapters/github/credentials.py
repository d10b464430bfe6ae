"""The app's own token, signed with its private key, and the tokens of installations that it is exchanged for."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from liftlock.adapters.github.transport import HttpxGitHub
from liftlock.errors import InputInvalidError
from liftlock.ports.clock import Clock
from liftlock.values.instants import parse_instant
from liftlock.values.json import encode

APP_TOKEN_FOR: Final = timedelta(minutes=9)
"""The forge takes ten minutes at most."""
BACKDATED: Final = timedelta(seconds=60)
"""For clocks that differ."""
RENEWED_BEFORE: Final = timedelta(minutes=5)
MIN_KEY_BITS: Final = 2048
PERMISSIONS: Final = {"checks": "write", "issues": "write", "pull_requests": "write", "metadata": "read"}
"""What a token is asked for: no more than comments and checks need, whatever the installation was given."""


def load_key(pem: str) -> RSAPrivateKey:
    """Return the private key; InputInvalidError: it is no RSA key of at least 2048 bits in PEM."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise InputInvalidError("github: the private key is no PEM file without a password") from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise InputInvalidError(f"github: expected a private RSA key of at least {MIN_KEY_BITS} bits")
    return key


def app_token(key: RSAPrivateKey, app_id: int, now: datetime) -> str:
    """Return a JSON Web Token (RS256) by which the app proves itself for `APP_TOKEN_FOR`. Source: RFC 7519."""
    issued = now - BACKDATED
    claims = {
        "iat": int(issued.timestamp()),
        "exp": int((issued + APP_TOKEN_FOR).timestamp()),
        "iss": str(app_id),
    }
    signed = f"{_text(encode({'alg': 'RS256', 'typ': 'JWT'}))}.{_text(encode(claims))}"
    return f"{signed}.{_text(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class InstallationTokens:
    """Tokens by installation, kept until shortly before they end; in memory only."""

    def __init__(self, api: HttpxGitHub, key: RSAPrivateKey, app_id: int, clock: Clock) -> None:
        self._api = api
        self._key = key
        self._app_id = app_id
        self._clock = clock
        self._held: dict[tuple[int, int], tuple[str, datetime]] = {}

    async def of(self, installation: int, repository: int) -> str:
        """Return a token for that one repository of the installation; errors as the API's."""
        now = self._clock.now()
        held = self._held.get((installation, repository))
        if held is None or held[1] - now < RENEWED_BEFORE:
            answer: dict[str, Any] = await self._api.post(
                f"/app/installations/{installation}/access_tokens",
                data={"repository_ids": [repository], "permissions": PERMISSIONS},
                jwt=app_token(self._key, self._app_id, now),
            )
            held = (answer["token"], parse_instant(answer["expires_at"], what="expires_at"))
            self._held[installation, repository] = held
        return held[0]

    def forget(self, installation: int, repository: int) -> None:
        """Forget a token that was refused."""
        self._held.pop((installation, repository), None)
