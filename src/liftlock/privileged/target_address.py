"""Addresses of repositories, as settings of privileged operations have them."""

from __future__ import annotations

from typing import Annotated

import msgspec

Address = Annotated[
    str,
    msgspec.Meta(max_length=2048, pattern=r"^(/|file:///|https://[A-Za-z0-9.-]+(:\d+)?/|ssh://)[^\s\x00]*$"),
]
"""A local path, https without credentials in it, or ssh."""
