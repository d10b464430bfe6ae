"""Transaction scripts: an operation as a generator that yields statements and is sent their rows.

So one text of an operation serves a synchronous SQLite thread and an asynchronous PostgreSQL connection. A script
has no effects but its statements, because an engine may run it again from the start.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar

Dialect = Literal["sqlite", "postgresql"]
Rows = list[tuple[Any, ...]]

T = TypeVar("T")


class Sql(NamedTuple):
    """One statement. Parameters are `$1`, `$2`, …; `{for_update}` and `{skip_locked}` lock rows on PostgreSQL."""

    text: str
    args: tuple[Any, ...] = ()


class Wake(NamedTuple):
    """After the commit, wake who listens to `channel`."""

    channel: str


Script = Generator[Sql | Wake, Rows, T]

_PARAMETER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=1024)
def for_sqlite(text: str) -> str:
    """Return `text` as SQLite reads it."""
    return _PARAMETER.sub(r"?\1", text.replace("{for_update}", "").replace("{skip_locked}", ""))


@lru_cache(maxsize=1024)
def for_postgresql(text: str) -> str:
    """Return `text` as PostgreSQL reads it."""
    return text.replace("{for_update}", "FOR UPDATE").replace("{skip_locked}", "FOR UPDATE SKIP LOCKED")
