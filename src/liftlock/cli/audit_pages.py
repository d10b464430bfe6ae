"""The whole audit log, page after page from the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from liftlock.cli.audit_files import WireEntry
from liftlock.cli.client import Api
from liftlock.domain.audit.entry import Row

PAGE: Final = 1000


def entries(api: Api) -> Iterator[WireEntry]:
    """Yield every place of the log, page after page."""
    begin = 0
    while True:
        page = api.get("audit", "entries", str(begin), query={"limit": str(PAGE)})["entries"]
        for each in page:
            row = None if each["row"] is None else Row(**each["row"])
            yield WireEntry(each["seq"], each["leaf"], row)
        if len(page) < PAGE:
            return
        begin += len(page)
