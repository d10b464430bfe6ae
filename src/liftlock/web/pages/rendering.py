"""Templates and assets: read when this module is imported, because the process drops its right to read them later.

Everything is escaped unless it is `Markup` that this project made; a name that the page lacks is an error, not a blank.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final
from urllib.parse import quote

import jinja2
import jinja2.debug
import jinja2.ext
import msgspec
from markupsafe import Markup

from liftlock.values.instants import format_instant
from liftlock.values.json import encode

_PACKAGE: Final = resources.files("liftlock.web") / "pages"
_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
NAVIGATION: Final = (
    ("/pushes", "Pushes", "pushes"),
    ("/operations", "Operations", "operations"),
    ("/hooks", "Hooks", "hooks"),
    ("/audit", "Audit", "audit"),
    ("/gate", "Gate", "gate"),
    ("/configuration", "Configuration", "configuration"),
    ("/access", "Why can I …?", "access"),
)
"""What the head of every page leads to: (path, label, the name that its pages give in their block `section`)."""
_STEPS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Asset:
    """One file that pages load; `packed` is the same compressed with gzip."""

    content_type: str
    body: bytes
    packed: bytes


def _files(folder: Traversable) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.is_file():
            yield item.name, item.read_bytes()


def _assets() -> dict[str, Asset]:
    return {
        name: Asset(_TYPES[name.rpartition(".")[2]], body, gzip.compress(body, 9, mtime=0))
        for name, body in _files(_PACKAGE / "assets")
    }


ASSETS: Final = _assets()
"""By file name."""
ASSETS_PATH: Final = (
    "/assets/"
    + hashlib.sha256(b"".join(name.encode() + ASSETS[name].body for name in sorted(ASSETS))).hexdigest()[:12]
    + "/"
)
"""The path of assets: it changes with any of them, so a browser may keep what it has for ever."""


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago `then` is, in one unit."""
    seconds = int((now - then).total_seconds())
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def span(length: timedelta) -> str:
    """Return a duration in its largest unit, two units below a day."""
    seconds = max(0, int(length.total_seconds()))
    parts: list[str] = []
    for size, unit in _STEPS:
        if seconds >= size or (unit == "s" and not parts):
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
            if len(parts) == 2 or size == 86_400 or seconds == 0:
                break
    return " ".join(parts)


def size(count: int) -> str:
    """Return a number of bytes for people: three digits and a unit."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}" if unit != "B" else f"{count} B"


def pretty(value: Any) -> str:
    """Return JSON for people to read."""
    return msgspec.json.format(encode(value), indent=2).decode()


def safe_log(html: str) -> Markup:
    """Return what `log_lines.html_of` made, as HTML that is not escaped a second time."""
    return Markup(html)  # noqa: S704 -- html_of escapes, and adds nothing but spans of its own


def seg(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")


def rest(text: str) -> str:
    """Return `text` as the rest of a path, its slashes kept."""
    return quote(text, safe="/")


def _environment() -> jinja2.Environment:
    texts = {name: body.decode() for name, body in _files(_PACKAGE / "templates")}
    made = jinja2.Environment(
        loader=jinja2.DictLoader(texts),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[jinja2.ext.do],
    )
    made.filters |= {
        "ago": ago,
        "span": span,
        "seg": seg,
        "rest": rest,
        "bytes": size,
        "safe_log": safe_log,
        "pretty": pretty,
        "instant": format_instant,
    }
    made.globals |= {"assets": ASSETS_PATH, "nav": NAVIGATION}
    return made  # each template is compiled when it is first shown: all of them take a quarter of the start


_ENVIRONMENT: Final = _environment()


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the page's HTML."""
    return _ENVIRONMENT.get_template(template).render(context)
