"""JSON in and out: decoding that bounds depth, and the canonical form that digests are taken of."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from liftlock.errors import MalformedPayloadError

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode


def decode(data: bytes, *, what: str = "body") -> Any:
    """Return the value that the UTF-8 JSON text `data` holds.

    Raises:
        MalformedPayloadError: `data` is no JSON, or is nested too deeply; the message says where.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise MalformedPayloadError(f"{what}: expected JSON: {error}") from error
    except RecursionError as error:
        raise MalformedPayloadError(f"{what}: JSON is nested too deeply") from error


def encode(value: Any) -> bytes:
    """Return compact UTF-8 JSON, keys in their given order."""
    return _encode(value)


def canonical(value: Any) -> bytes:
    """Return compact UTF-8 JSON with keys sorted by code point: equal values give equal bytes."""
    return _encode_sorted(value)


def digest(value: Any) -> str:
    """Return the lower-case hexadecimal sha256 of the canonical form of `value`."""
    return hashlib.sha256(_encode_sorted(value)).hexdigest()
