"""Decoding of the binary messages between processes (MessagePack), with the one error of `liftlock.values.json`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, overload

import msgspec

from liftlock.values.json import UNDECODABLE, malformed

T = TypeVar("T")


@overload
def unpack_as(data: bytes, kind: type[T], *, what: str) -> T: ...
@overload
def unpack_as(data: bytes, kind: Any, *, what: str) -> Any: ...
def unpack_as(data: bytes, kind: Any, *, what: str) -> Any:
    """Return the value of the type `kind` that the MessagePack `data` holds.

    Raises:
        MalformedPayloadError: it is no MessagePack, has text that is no UTF-8, is nested too deeply, or of another form.
    """
    try:
        return _decoder(kind).decode(data)
    except UNDECODABLE as error:
        raise malformed(what, "MessagePack", error) from error


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)
