"""Where and as whom privileged operations write into repositories, as their settings have it."""

from __future__ import annotations

from typing import Annotated

import msgspec

Address = Annotated[
    str,
    msgspec.Meta(max_length=2048, pattern=r"^(/|file:///|https://[A-Za-z0-9.-]+(:\d+)?/|ssh://)[^\s\x00]*$"),
]
"""A local path, https without credentials in it, or ssh."""

Author = Annotated[
    str, msgspec.Meta(pattern=r"^[^<>\x00-\x1f\x7f]+ <[^<>\s\x00-\x1f\x7f]+>$", max_length=200)
]
"""`Name <address>`."""
User = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
"""The name that stands beside a token."""
