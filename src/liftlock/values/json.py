"""JSON in and out: decoding that fails in one way only, and the canonical form that digests are taken of.

Whatever may come from outside is decoded here: of a decoder's own errors one is always forgotten. Text that is no
UTF-8 is a UnicodeDecodeError, deep nesting a RecursionError, and neither is one of the decoder's.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final, TypeVar, overload

import msgspec

from liftlock.errors import MalformedPayloadError

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode
UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""All that a decoder raises for data that it can't take."""


def decode(data: bytes | str, *, what: str = "body") -> Any:
    """Return the value that the UTF-8 JSON text `data` holds.

    Raises:
        MalformedPayloadError: `data` is no JSON, no UTF-8, or is nested too deeply; the message says where.
    """
    try:
        return _decode(data)
    except UNDECODABLE as error:
        raise malformed(what, "JSON", error) from error


@overload
def decode_as(data: bytes | str, kind: type[T], *, what: str) -> T: ...
@overload
def decode_as(data: bytes | str, kind: Any, *, what: str) -> Any: ...
def decode_as(data: bytes | str, kind: Any, *, what: str) -> Any:
    """Return the value of the type `kind` (a Struct, a list of such …) that the UTF-8 JSON text `data` holds.

    Raises:
        MalformedPayloadError: it is no JSON, no UTF-8, nested too deeply, or of another form; the message says where.
    """
    try:
        return _decoder(kind).decode(data)
    except UNDECODABLE as error:
        raise malformed(what, "JSON", error) from error


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def malformed(what: str, form: str, error: Exception) -> MalformedPayloadError:
    """Return the error that says that `what` is not of the form (JSON …), and why: `error` of `UNDECODABLE`."""
    if isinstance(error, RecursionError):
        return MalformedPayloadError(f"{what}: {form} is nested too deeply")
    return MalformedPayloadError(f"{what}: expected {form}: {error}")


def encode(value: Any) -> bytes:
    """Return compact UTF-8 JSON, keys in their given order."""
    return _encode(value)


def canonical(value: Any) -> bytes:
    """Return compact UTF-8 JSON with keys sorted by code point: equal values give equal bytes."""
    return _encode_sorted(value)


def digest(value: Any) -> str:
    """Return the lower-case hexadecimal sha256 of the canonical form of `value`."""
    return hashlib.sha256(_encode_sorted(value)).hexdigest()
