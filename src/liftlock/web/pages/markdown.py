"""Markdown that tasks and actions brought, as HTML that can do nothing: no scripts, styles, images or raw HTML."""

from __future__ import annotations

from typing import Final

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

MAX_CHARS: Final = 20_000
_TAGS: Final = {
    "p",
    "br",
    "em",
    "strong",
    "code",
    "pre",
    "ul",
    "ol",
    "li",
    "blockquote",
    "a",
    "h1",
    "h2",
    "h3",
    "hr",
}
_RENDERER: Final = MarkdownIt("commonmark", {"html": False})


def _absolute(tag: str, attribute: str, value: str) -> str | None:
    """Return the address if it says where it leads: what is relative would look like a part of this site."""
    return value if attribute != "href" or value.lower().startswith(("http://", "https://")) else None


def rendered(text: str) -> Markup:
    """Return `text` (its first `MAX_CHARS` characters) as harmless HTML; links lead to http and https only."""
    html = _RENDERER.render(text[:MAX_CHARS])
    return Markup(  # noqa: S704 -- what nh3 returns holds only the elements above
        nh3.clean(
            html,
            tags=_TAGS,
            attributes={"a": {"href"}},
            attribute_filter=_absolute,
            url_schemes={"http", "https"},
            link_rel="noopener noreferrer nofollow",
        )
    )
