"""Which events somebody asked for: exchanges, and patterns of routing keys.

A pattern's words are parted by dots; `*` is any one word, `#` any number of words, none too. Matching takes time in
proportion to both lengths, whatever the pattern.

Source: docs/reference/events.md#bindings
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec

from liftlock.domain.events.naming import EXCHANGES, TOPICS, Message, topic_of
from liftlock.errors import InputInvalidError

MAX_BINDINGS: Final = 64
MAX_PATTERN: Final = 255
"""Characters."""


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Events of `exchange` one of whose routing keys `routing_key_pattern` matches."""

    exchange: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PATTERN)]
    routing_key_pattern: Annotated[str, msgspec.Meta(max_length=MAX_PATTERN)]


def matches(pattern: Sequence[str], key: Sequence[str]) -> bool:
    """Tell whether the words of a pattern match the words of a routing key."""
    reached = {0}
    """How many words of the pattern may be used up by the words of the key read so far."""
    for word in key:
        reached = _past_hashes(pattern, reached)
        following: set[int] = set()
        for at in reached:
            if at < len(pattern):
                if pattern[at] == "#":
                    following.add(at)
                elif pattern[at] in ("*", word):
                    following.add(at + 1)
        reached = following
        if not reached:
            return False
    return len(pattern) in _past_hashes(pattern, reached)


def _past_hashes(pattern: Sequence[str], reached: Iterable[int]) -> set[int]:
    """Return `reached` and what a `#` that stands for no word leads to."""
    found: set[int] = set()
    for at in reached:
        found.add(at)
        while at < len(pattern) and pattern[at] == "#":
            at += 1  # noqa: PLW2901 -- walks on
            found.add(at)
    return found


class Wanted:
    """A checked set of bindings."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        """Compile; bindings to exchanges that are none of ours match nothing."""
        self._patterns: dict[str, list[tuple[str, ...]]] = {}
        for binding in bindings:
            topic = topic_of(binding.exchange)
            if topic is not None:
                words = tuple(binding.routing_key_pattern.split("."))
                self._patterns.setdefault(topic, []).append(words)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that some event may match, sorted."""
        return tuple(sorted(self._patterns))

    def __contains__(self, message: Message) -> bool:
        """Tell whether somebody with these bindings gets the message."""
        patterns = self._patterns.get(message.topic)
        if not patterns:
            return False
        keys = [key.split(".") for key in (message.routing, *message.copies)]
        return any(matches(pattern, key) for pattern in patterns for key in keys)


def check_bindings(bindings: Sequence[Binding]) -> Wanted:
    """Return the compiled bindings.

    Raises:
        InputInvalidError: there is none, there are too many, or one names an exchange that is none of ours.
    """
    if not 1 <= len(bindings) <= MAX_BINDINGS:
        raise InputInvalidError(f"bindings: expected 1 to {MAX_BINDINGS}, got {len(bindings)}")
    for number, binding in enumerate(bindings):
        if topic_of(binding.exchange) is None:
            known = ", ".join(TOPICS)
            raise InputInvalidError(
                f"bindings[{number}].exchange: expected {EXCHANGES} followed by one of {known};"
                f" got {binding.exchange[:120]!r}"
            )
    return Wanted(bindings)
