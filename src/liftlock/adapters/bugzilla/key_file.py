"""The tracker's key: read from a file that nobody else can read, and never shown."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from liftlock.errors import IsolationUnavailableError

_FORM = re.compile(r"[!-~]{8,512}\Z")
_MAX_BYTES: Final = 1_024


class TrackerKey:
    """A key that neither prints nor travels in errors; `reveal` gives it to the HTTP client."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "TrackerKey(…)"

    def reveal(self) -> str:
        """Return the key itself."""
        return self._text


def read_key(path: Path) -> TrackerKey:
    """Return the key in a file.

    Raises:
        IsolationUnavailableError: it is no plain file of this user or of root, others may read or write it, or it holds
            no key. The text never quotes the file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise IsolationUnavailableError(f"{path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in {0, os.geteuid()}:
            raise IsolationUnavailableError(f"{path}: expected a file of this user's own or of root's")
        if facts.st_mode & 0o077:
            raise IsolationUnavailableError(
                f"{path}: mode {facts.st_mode & 0o777:04o}, expected 0600: others may read the tracker's key"
            )
        text = file.read(_MAX_BYTES + 1).decode("ascii", "replace").strip()
    if not _FORM.match(text):
        raise IsolationUnavailableError(f"{path}: expected one key of 8 to 512 printable characters")
    return TrackerKey(text)
