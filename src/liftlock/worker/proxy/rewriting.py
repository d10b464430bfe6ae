"""Addresses in answers: what points to the control plane is made to point to the proxy, which is all a task can reach."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_REWRITTEN_BYTES = 1 << 20
_FIELDS = ("url", "putUrl")


def rewritten_address(address: str, root_url: str, inside: str) -> str:
    """Return `address` with the control plane's origin replaced by the proxy's; other addresses as they are."""
    if address == root_url or address.startswith((f"{root_url}/", f"{root_url}?")):
        return inside + address[len(root_url) :]
    return address


def rewritten_headers(
    headers: list[tuple[bytes, bytes]], root_url: str, inside: str
) -> list[tuple[bytes, bytes]]:
    """Return headers with `location` rewritten."""
    return [
        (name, rewritten_address(value.decode("latin-1"), root_url, inside).encode("latin-1"))
        if name == b"location"
        else (name, value)
        for name, value in headers
    ]


def rewritten_json(content: bytes, root_url: str, inside: str) -> bytes:
    """Return an answer's JSON object with the address in its `url` rewritten; anything else byte for byte."""
    if root_url.encode() not in content:
        return content
    try:
        said: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return content
    if not isinstance(said, dict):
        return content
    changed = False
    for field in _FIELDS:
        address = said.get(field)
        if isinstance(address, str):
            said[field] = rewritten_address(address, root_url, inside)
            changed = changed or said[field] != address
    return msgspec.json.encode(said) if changed else content


def texts(content: bytes, *, least: int = 6) -> list[str]:
    """Return every text of at least `least` characters in a JSON document, keys left out; empty if it is no JSON."""
    try:
        pending: list[Any] = [msgspec.json.decode(content)]
    except (msgspec.DecodeError, RecursionError):
        return []
    found: list[str] = []
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, str) and len(value) >= least:
            found.append(value)
    return found
