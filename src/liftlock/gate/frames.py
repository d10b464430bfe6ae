"""What hooks and gated say to each other: frames of one letter, a length of four bytes, and that many bytes.

The hooks speak it without this module (they stand alone), so it is kept this simple:
`H` hello (lines `key=value`), `R` refs (names, one a line, NUL, `new`, `old` or `more`), `C` a piece of the stream of commits, `N`
which of the asked-for commits are new to the repository, `E` the end (with the number of commits, where the hook has
counted them). gated answers `X` (patterns of exempt refs, if the hello wants them), `?` (commits, one a
line: are they new?) or `V` (`A` or `R`, then the text).

Source: docs/reference/gate.md#wire
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from liftlock.errors import MalformedPayloadError

MAX_FRAME: Final = 1_048_576
HEAD: Final = 5
KINDS: Final = frozenset(b"HRCNE")


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return one frame."""
    return kind + len(payload).to_bytes(4, "big") + payload


class Frames:
    """Takes bytes as they arrive and gives whole frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (kind, payload) of each frame that is complete now.

        Raises:
            MalformedPayloadError: an unknown kind, or a frame that is too long.
        """
        rest = self._rest
        rest += data
        at = 0
        try:
            while len(rest) - at >= HEAD:
                if rest[at] not in KINDS:
                    raise MalformedPayloadError("gate: unknown kind of frame")
                length = int.from_bytes(rest[at + 1 : at + HEAD], "big")
                if length > MAX_FRAME:
                    raise MalformedPayloadError(
                        f"gate: a frame of {length} bytes, expected at most {MAX_FRAME}"
                    )
                end = at + HEAD + length
                if len(rest) < end:
                    break
                yield bytes(rest[at : at + 1]), bytes(rest[at + HEAD : end])
                at = end
        finally:
            del rest[:at]


def parse_hello(payload: bytes) -> dict[str, str]:
    """Return the pairs of a hello; raises MalformedPayloadError."""
    if len(payload) > 8_192:
        raise MalformedPayloadError("gate: the hello is too long")
    pairs = [line.partition("=") for line in payload.decode("utf-8", "replace").split("\n") if line]
    if any(not equals for _, equals, _ in pairs):
        raise MalformedPayloadError("gate: expected lines of key=value")
    return {key: value for key, _, value in pairs}
