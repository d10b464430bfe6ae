"""Reading objects: a commit and a file of it with one run of git, parsed from their raw bytes.

Source: git-cat-file(1) --batch-command; the form of commit objects, gitformat-index and git-commit-tree(1)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from liftlock.adapters.git.run import TIMEOUT_S, Git
from liftlock.domain.pushes.push import MAX_MESSAGE, Commit

MAX_CONTENT: Final = 512 * 1024
"""Bytes of one object that are looked at."""
MAX_PERSON: Final = 255
_PERSON: Final = re.compile(rb"(?P<name>[^<]*)<(?P<email>[^>]*)>(?: (?P<seconds>-?\d{1,15}) [+-]\d{4})?")


class Found(NamedTuple):
    """One object: its kind (`missing` if it is not there), its size, and the first `MAX_CONTENT` bytes of its content."""

    kind: str
    size: int
    content: bytes


async def read_objects(git: Git, folder: Path, names: list[str]) -> list[Found]:
    """Return the objects that `names` name, in order; none of them can make us read more than `MAX_CONTENT` of it.

    Raises:
        RepositoryError: git answered something else than expected.
    """
    found = []
    async with git.open(
        folder, ["cat-file", "--batch-command"], standard_input=None, timeout_s=TIMEOUT_S
    ) as running:
        for number, name in enumerate(names):
            await running.ask(f"contents {name}\n".encode())
            words = (await running.line()).split(" ")
            if words[-1] in ("missing", "ambiguous"):
                found.append(Found("missing", 0, b""))
                continue
            size = int(words[-1])
            content = await running.exactly(min(size, MAX_CONTENT))
            found.append(Found(words[-2], size, content))
            if size > MAX_CONTENT:
                # The rest of it stands before the next answer: ask for that in another run.
                return found + (
                    await read_objects(git, folder, names[number + 1 :]) if names[number + 1 :] else []
                )
            await running.exactly(1)
    return found


def parse_commit(revision: str, raw: bytes) -> Commit:
    """Return what the raw commit object says; nothing in it is authenticated, and text that is not UTF-8 is replaced."""
    head, _, body = raw.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, value)
    encoding = fields.get(b"encoding", b"utf-8").decode("ascii", "replace")
    author, email, _ = _person(fields.get(b"author", b""), encoding)
    _, committer_email, seconds = _person(fields.get(b"committer", b""), encoding)
    return Commit(
        revision=revision,
        author_name=author,
        author_email=email,
        committer_email=committer_email,
        message=_text(body, encoding).strip("\n")[:MAX_MESSAGE],
        committed=_instant(seconds),
    )


def _person(value: bytes, encoding: str) -> tuple[str, str, int]:
    match = _PERSON.match(value)
    if match is None:
        return _text(value, encoding)[:MAX_PERSON], "", 0
    name, email = (_text(match[part], encoding).strip()[:MAX_PERSON] for part in ("name", "email"))
    return name, email, int(match["seconds"] or 0)


def _text(value: bytes, encoding: str) -> str:
    try:
        text = value.decode(encoding, "replace")
    except LookupError:
        text = value.decode("utf-8", "replace")
    return text.replace("\0", "")


def _instant(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
