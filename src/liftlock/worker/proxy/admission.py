"""Which requests of a task go to the control plane, and what of them: decided on bytes of a hostile client. Pure.

Source: docs/reference/worker.md#proxy
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import msgspec

from liftlock.worker.network.connection import MAX_BODY_BYTES

MAX_TARGET_BYTES = 16 * 1024
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH"})
_TARGET = re.compile(
    rb"/(?:api/(?P<service>[a-z][a-z0-9-]{0,63})/v[0-9]{1,3}/|(?:references|schemas)/)[!-~]*\Z"
)
_FORBIDDEN = re.compile(rb'[#\\<>"^`{|}]')
_BEWIT = re.compile(rb"(?:^|&)bewit=")
_FORWARDED = frozenset(
    {
        b"accept",
        b"accept-language",
        b"content-type",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"range",
        b"user-agent",
        b"x-taskcluster-trace-id",
    }
)
"""Everything else stays here: Authorization, cookies, forwarding and connection headers above all."""
_RETURNED = frozenset(
    {
        b"accept-ranges",
        b"cache-control",
        b"content-disposition",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"date",
        b"etag",
        b"expires",
        b"last-modified",
        b"link",
        b"location",
        b"retry-after",
        b"vary",
        b"x-content-type-options",
        b"x-taskcluster-artifact-storage-type",
    }
)


class Refusal(msgspec.Struct, frozen=True):
    """The request stays here; `why` is recorded and shown to the task."""

    status: int
    why: str


class Admitted(msgspec.Struct, frozen=True):
    """What is sent. `length` of the body: 0 none, None unknown (chunked)."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    service: str
    signed: bool
    length: int | None


def admit(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Admitted | Refusal:
    """Return what is sent of a request with lower-case header names, or why nothing is."""
    match = _TARGET.match(target)
    path, _, query = target.partition(b"?")
    refusal = _wrong_method(method) or _wrong_target(target, path, fits=match is not None)
    if refusal is not None:
        return refusal
    said = list(headers)
    length = _length(said)
    if isinstance(length, Refusal):
        return length
    kept = tuple((name, value) for name, value in said if name in _FORWARDED)
    return Admitted(
        method.decode("ascii"),
        path + (b"?" + query if query else b""),
        (*kept, (b"accept-encoding", b"identity")),
        "" if match is None else (match["service"] or b"").decode("ascii"),
        signed=not _BEWIT.search(query),
        length=length,
    )


def _wrong_method(method: bytes) -> Refusal | None:
    return None if method in METHODS else Refusal(405, "this method is not forwarded")


def _wrong_target(target: bytes, path: bytes, *, fits: bool) -> Refusal | None:
    if len(target) > MAX_TARGET_BYTES:
        return Refusal(414, f"the address has more than {MAX_TARGET_BYTES} bytes")
    if not fits or _FORBIDDEN.search(target):
        return Refusal(403, "only /api/<service>/v1/…, /references/… and /schemas/… are forwarded")
    if any(unquote_to_bytes(part) in (b".", b"..") for part in path.split(b"/")):
        return Refusal(403, "the path has a dot segment")
    return Refusal(403, "the path has an empty segment") if b"//" in path else None


def _length(headers: list[tuple[bytes, bytes]]) -> int | Refusal | None:
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if lengths and codings:
        return Refusal(400, "both Content-Length and Transfer-Encoding")
    if codings:
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 15:
        return Refusal(400, "Content-Length is no number")
    length = int(lengths[0])
    return (
        Refusal(413, f"the body has more than {MAX_BODY_BYTES} bytes") if length > MAX_BODY_BYTES else length
    )


def returned(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that a task gets to see, names in lower case."""
    return [(name.lower(), value) for name, value in headers if name.lower() in _RETURNED]
