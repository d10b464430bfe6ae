"""What a doorbell may say, parsed from bytes that anybody could have written.

Source: docs/reference/pushes.md#ringing
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from liftlock.domain.pushes.push import Claim
from liftlock.errors import InputInvalidError, MalformedPayloadError
from liftlock.values.json import decode_as

MAX_CLAIMS: Final = 100
MAX_BYTES: Final = 65_536
_MAX_TEXT: Final = 255


class _Claim(msgspec.Struct):
    branch: str
    revision: str
    pusher: str


class _Said(msgspec.Struct):
    claims: list[_Claim] = []


class _Left(msgspec.Struct):
    project: str
    claims: list[_Claim] = []


def parse_claims(payload: Any, *, authenticated: bool) -> tuple[Claim, ...]:
    """Return the claims of a decoded ring; `authenticated`: whoever rings vouches for who pushed.

    Raises:
        InputInvalidError: it is no ring, or claims more than `MAX_CLAIMS`.
    """
    try:
        said = msgspec.convert(payload or {}, _Said)
    except msgspec.ValidationError as error:
        raise InputInvalidError(f"ring: {error}") from error
    return _checked(said.claims, authenticated=authenticated)


def parse_left_ring(raw: bytes) -> tuple[str, tuple[Claim, ...]]:
    """Return project and claims of a ring that was left as a file; raises InputInvalidError."""
    try:
        left = decode_as(raw, _Left, what="ring")
    except MalformedPayloadError as error:
        raise InputInvalidError(error.message) from error
    return left.project, _checked(left.claims, authenticated=False)


def _checked(claims: list[_Claim], *, authenticated: bool) -> tuple[Claim, ...]:
    if len(claims) > MAX_CLAIMS:
        raise InputInvalidError(f"ring: {len(claims)} claims, expected at most {MAX_CLAIMS}")
    for claim in claims:
        if max(len(claim.branch), len(claim.revision), len(claim.pusher)) > _MAX_TEXT:
            raise InputInvalidError(f"ring: a claim's text is longer than {_MAX_TEXT}")
    return tuple(
        Claim(branch=each.branch, revision=each.revision, pusher=each.pusher, authenticated=authenticated)
        for each in claims
        if each.pusher
    )
