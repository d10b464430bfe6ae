"""Commands in comments: which lines of a comment are commands, so that none is hidden from who reads it.

A command is a whole line that starts with `/liftlock` at the first column, and that everybody who sees the comment sees
as a paragraph of its own. A line that a renderer may show as something else, or not at all, is none.

Source: docs/reference/github.md#commands
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, cast, get_args

PREFIX: Final = "/liftlock"
MAX_COMMANDS: Final = 3
"""Commands that one comment may give."""
MAX_LINE: Final = 500

Name = Literal["ping", "help", "format", "update-deps", "publish", "retrigger", "cancel"]
NAMES: Final = frozenset(get_args(Name))

_LINE = re.compile(r"\r\n|\n|\r")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)\Z", re.DOTALL)
_TAG = re.compile(r"<[A-Za-z/!?]")
_COMMAND = re.compile(r"/liftlock(?:[ \t]+([\x20-\x7e\t]*))?\Z", re.ASCII)
_ARGUMENT = re.compile(r"([a-z][a-z0-9_-]{0,39})=([\x21-\x7e]{0,200})\Z", re.ASCII)


class Command(NamedTuple):
    """One command: its name, and `name=value` arguments."""

    name: Name
    arguments: dict[str, str]


class BadCommand(NamedTuple):
    """A command's line that makes no sense; `reason` is for who wrote it, and repeats nothing unprintable."""

    reason: str


def commands_in(text: str) -> list[Command | BadCommand]:
    """Return the commands of a comment, at most `MAX_COMMANDS`, in order."""
    found: list[Command | BadCommand] = []
    for line in _visible_lines(text):
        if len(found) == MAX_COMMANDS:
            return [*found[:-1], BadCommand(f"a comment may give {MAX_COMMANDS} commands at most")]
        found.append(_parse(line))
    return found


def _visible_lines(text: str) -> Iterator[str]:
    """Yield the lines that start with the prefix and stand alone: nothing before them can make them something else.

    The line before must be blank, a command itself, or the end of a fenced block: otherwise the line may continue a quote
    or a list. After the first tag nothing counts: comments, collapsed sections and the like hide what follows.
    """
    fence: str | None = None
    free = True
    for line in _LINE.split(text):
        mark = _FENCE.match(line)
        if fence is not None:
            if mark is not None and _closes(mark, fence):
                fence, free = None, True
            continue
        if mark is not None:
            fence = mark[1]
            continue
        if _TAG.search(line):
            return
        is_command = free and line.startswith(PREFIX) and _COMMAND.match(line.rstrip()) is not None
        if is_command:
            yield line.rstrip()
        free = is_command or not line.strip()


def _closes(mark: re.Match[str], fence: str) -> bool:
    return mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not mark[2].strip()


def _parse(line: str) -> Command | BadCommand:
    match = _COMMAND.match(line)
    words = [] if match is None or match[1] is None else match[1].split()
    if not words:
        return Command("help", {})
    if len(line) > MAX_LINE:
        return BadCommand(f"a command has at most {MAX_LINE} characters")
    name, *rest = words
    if name not in NAMES:
        return BadCommand(f"`{_plain(name)}` is no command; there are {', '.join(sorted(NAMES))}")
    arguments: dict[str, str] = {}
    for word in rest:
        argument = _ARGUMENT.match(word)
        if argument is None:
            return BadCommand(f"`{_plain(word)}` is no argument; expected name=value")
        if argument[1] in arguments:
            return BadCommand(f"`{argument[1]}` is given twice")
        arguments[argument[1]] = argument[2]
    return Command(cast(Name, name), arguments)


def _plain(word: str) -> str:
    """Return the word as it can stand in an answer: short, and without marks that would call people or make links."""
    return re.sub(r"[^A-Za-z0-9._=/-]", "?", word)[:40]
