"""What a registry answers to who shows no token: where a token is to be had. Untrusted text; pure.

Source: docs/reference/inputs.md#images
"""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

from liftlock.errors import InputValidationError, MalformedPayloadError
from liftlock.values.json import decode

MAX_TOKEN_CHARS = 16_384
_PARAMETER = re.compile(r'([a-z]{1,20})="([^"\\\x00-\x1f\x7f]{0,1000})"', re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+\Z", re.ASCII)


def token_address(challenge: str, *, base: str, name: str) -> str:
    """Return where the token is that lets anybody pull `name`, by the challenge of the registry at `base`.

    Raises:
        InputValidationError: the challenge is of another kind, or leads from https to http.
    """
    kind, _, rest = challenge.partition(" ")
    told = dict(_PARAMETER.findall(rest))
    realm = told.get("realm", "")
    parts = urlsplit(realm)
    if kind.lower() != "bearer" or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputValidationError(
            f"the registry asks for a login of a kind that is not offered: {challenge[:200]!r}"
        )
    if parts.username is not None or (base.startswith("https:") and parts.scheme != "https"):
        raise InputValidationError(
            f"the registry's tokens are at {parts.hostname[:100]}, which can't be asked safely"
        )
    query = {"scope": f"repository:{name}:pull"} | ({"service": told["service"]} if "service" in told else {})
    return f"{realm.partition('?')[0]}?{urlencode(query)}"


def token_in(answer: bytes) -> str:
    """Return the token of an answer; InputValidationError if it has none."""
    try:
        said = decode(answer, what="the registry's token")
    except MalformedPayloadError as error:
        raise InputValidationError(error.message) from error
    found = said.get("token", said.get("access_token")) if isinstance(said, dict) else None
    if not isinstance(found, str) or len(found) > MAX_TOKEN_CHARS or _TOKEN.match(found) is None:
        raise InputValidationError("the registry gave no usable token")
    return found
