"""Addresses in answers: what points to the control plane is made to point to the proxy, which is all a task can reach."""

from __future__ import annotations

from typing import Any

from liftlock.errors import MalformedPayloadError
from liftlock.values.json import decode, encode

MAX_REWRITTEN_BYTES = 1 << 20
LEAST_DIGITS = 6
"""Shorter numbers would mask half a log: years, sizes, counts."""
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
        said: Any = decode(content, what="answer")
    except MalformedPayloadError:
        return content
    if not isinstance(said, dict):
        return content
    changed = False
    for field in _FIELDS:
        address = said.get(field)
        if isinstance(address, str):
            said[field] = rewritten_address(address, root_url, inside)
            changed = changed or said[field] != address
    return encode(said) if changed else content


def secret_texts(content: bytes) -> list[str]:
    """Return every text and number in the `secret` of the secrets service's answer, keys left out; [] if it has none.

    Which of them are long enough to be masked is for the mask to say; of numbers only those of `LEAST_DIGITS` count.
    """
    try:
        said: Any = decode(content, what="answer")
    except MalformedPayloadError:
        return []
    pending = [said.get("secret")] if isinstance(said, dict) else []
    found: list[str] = []
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, str):
            found.append(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found += _numerals(value)
    return found


def _numerals(value: int | float) -> list[str]:
    """Return how a number is written: as it is, and a whole one that came with a fraction or exponent without it."""
    written = [str(value)]
    if abs(value) < 2**63 and value == int(value) and str(int(value)) not in written:
        written.append(str(int(value)))
    return [one for one in written if sum(character.isdigit() for character in one) >= LEAST_DIGITS]
