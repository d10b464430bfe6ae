"""Transaction scripts: an operation as a generator that yields statements and is sent their rows.

So one text of an operation serves a synchronous SQLite thread and an asynchronous PostgreSQL connection. A script
has no effects but its statements, because an engine may run it again from the start.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

Dialect = Literal["sqlite", "postgresql"]
Rows = list[tuple[Any, ...]]

T = TypeVar("T")


class Sql(NamedTuple):
    """One statement. Parameters are `$1`, `$2`, …; marks differ by database.

    `{for_update}`, `{for_share}` and `{skip_locked}` lock rows on PostgreSQL. `{audit_place}` is the next place in the
    audit log on SQLite, where only one writes, and NULL on PostgreSQL, where places are given after the fact.
    """

    text: str
    args: tuple[Any, ...] = ()


class Each(NamedTuple):
    """One statement for each of `rows` of parameters, sent together; gives all rows that they return, in that order."""

    text: str
    rows: Sequence[tuple[Any, ...]]


class Hold(NamedTuple):
    """`Each`, for the sake of the locks that it takes: SQLite, where only one writes, has no need of it and skips it."""

    text: str
    rows: Sequence[tuple[Any, ...]]


class Wake(NamedTuple):
    """After the commit, wake who listens to `channel`."""

    channel: str


Script = Generator[Sql | Each | Hold | Wake, Rows, T]

_POSTGRESQL = {
    "for_update": "FOR UPDATE",
    "for_share": "FOR SHARE",
    "skip_locked": "FOR UPDATE SKIP LOCKED",
    "audit_place": "NULL",
}
_SQLITE = {
    "for_update": "",
    "for_share": "",
    "skip_locked": "",
    "audit_place": "(SELECT coalesce(max(seq), -1) + 1 FROM audit WHERE seq IS NOT NULL)",
}
_MARK = re.compile(r"\{(for_update|for_share|skip_locked|audit_place)\}")
_PARAMETER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=1024)
def for_sqlite(text: str) -> str:
    """Return `text` as SQLite reads it."""
    return _PARAMETER.sub(r"?\1", _MARK.sub(lambda found: _SQLITE[found[1]], text))


@lru_cache(maxsize=1024)
def for_postgresql(text: str) -> str:
    """Return `text` as PostgreSQL reads it."""
    return _MARK.sub(lambda found: _POSTGRESQL[found[1]], text)
