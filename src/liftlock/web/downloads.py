"""Answers that are stored bytes: ranges, digests as entity tags, and nothing that a browser would run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import quote

from liftlock.domain.tasks.artifacts import Content, is_safe_inline
from liftlock.web.routing import Reply

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII)

Read = Callable[[str, int, int], AsyncIterator[bytes]]


def stored_bytes(
    content: Content, content_type: str, file_name: str, request_headers: Mapping[str, str], read: Read
) -> Reply:
    """Return the answer with the stored bytes, or the one range of them that was asked for.

    Args:
        file_name: The name under which a browser saves what it must not show.
        read: Yields the stored bytes of a range of a blob.
    """
    headers = _headers(content, content_type, file_name)
    if request_headers.get("if-none-match") == headers["etag"]:
        return Reply(status=304, headers=headers)
    size = content.stored_bytes
    wanted = _range(request_headers, headers["etag"], size)
    if wanted is None:
        start, stop, status = 0, size, 200
    else:
        start, stop = wanted
        if start >= stop:
            return Reply(status=416, headers={"content-range": f"bytes */{size}"})
        status = 206
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["content-length"] = str(stop - start)
    return Reply(status=status, body=read(content.blob, start, stop), headers=headers)


def _headers(content: Content, content_type: str, file_name: str) -> dict[str, str]:
    headers = {
        "content-type": content_type,
        "accept-ranges": "bytes",
        "etag": f'"{content.blob}"',
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
        "cross-origin-resource-policy": "cross-origin",
        "x-liftlock-content-sha256": content.sha256,
        "x-liftlock-content-length": str(content.length),
    }
    if content.encoding != "identity":
        headers["content-encoding"] = content.encoding
    if not is_safe_inline(content_type):
        last = file_name.rsplit("/", 1)[-1] or "artifact"
        headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(last, safe='')}"
    return headers


def _range(request_headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """Return the half-open range that is asked for, empty if it can't be satisfied; None: all of it."""
    match = _RANGE.match(request_headers.get("range", ""))
    if match is None or match[0] == "bytes=-":
        return None
    if request_headers.get("if-range", etag) != etag:
        return None
    first, last = match[1], match[2]
    if not first:
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    start = int(first)
    if last and int(last) < start:
        return None
    stop = min(size, int(last) + 1) if last else size
    return (start, stop) if start < size else (size, size)
