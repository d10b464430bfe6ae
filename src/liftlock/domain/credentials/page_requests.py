"""Which requests to the pages may change something, and where a page may send a browser.

Source: docs/reference/pages.md#security
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

HOME: Final = "/"
_LOCAL: Final = re.compile(r"/(?![/\\])[\x21-\x7e]{0,2000}\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFacts:
    """What a browser says of a request that writes. `own` is this site's origin as the request addressed it."""

    own: str
    origin: str | None
    fetch_site: str | None
    content_type: str


def cross_site(facts: WriteFacts) -> str | None:
    """Return why the request can't be one that a page of this site made, or None if it can.

    Every browser in use sends Origin with a POST; what sends none, or `null`, is refused.
    """
    if facts.origin is None:
        return "the request says no Origin"
    if facts.origin.lower() != facts.own.lower():
        return f"the request comes from {facts.origin[:200]!r}, not from this site"
    if facts.fetch_site not in (None, "same-origin"):
        return f"the browser says that the request is {facts.fetch_site[:32]!r}"
    if facts.content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return "the request is no form of this site"
    return None


def local_path(wanted: str | None) -> str:
    """Return `wanted` if it is a path on this very site, else `HOME`: nobody is sent to where a link's author likes.

    Browsers read `\\` as `/`, and drop tabs and line ends: only printable ASCII is a path, and no second slash.
    """
    if wanted is None or _LOCAL.match(wanted) is None or "\\" in wanted:
        return HOME
    return wanted
