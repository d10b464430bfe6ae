"""Markdown of strangers becomes HTML that does nothing; durations and sizes read well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from liftlock.web.pages.markdown import rendered
from liftlock.web.pages.rendering import ago, size, span


def test_markdown_is_rendered() -> None:
    assert rendered("Runs *all* `tests`\n\n- a\n- [b](https://example.org/x)") == (
        "<p>Runs <em>all</em> <code>tests</code></p>\n<ul>\n<li>a</li>\n"
        '<li><a href="https://example.org/x" rel="noopener noreferrer nofollow">b</a></li>\n</ul>\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://evil.example/pixel.png)",
        "<a href='https://x' onclick='alert(1)'>x</a>",
        "<style>*{display:none}</style>",
        "<form action=https://evil.example><input name=a></form>",
        "<iframe src=//evil.example></iframe>",
        "[x](  JaVaScRiPt:alert(1))",
        "[x](//evil.example)",
        "[x](/sign-out)",
        "<svg/onload=alert(1)>",
    ],
)
def test_markdown_of_a_stranger_runs_shows_and_loads_nothing(text: str) -> None:
    html = str(rendered(text)).lower()
    for part in (
        "<script",
        "<img",
        "<svg",
        "<style",
        "<form",
        "<iframe",
        "<a href='",
        'href="javascript',
        'href="data',
        'href="/',
    ):
        assert part not in html, html


def test_times_and_sizes_read_well() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert [ago(now - timedelta(seconds=s), now) for s in (0, 1, 59, 60, 3600, 90_000)] == [
        "just now",
        "1 s ago",
        "59 s ago",
        "1 min ago",
        "1 h ago",
        "1 d ago",
    ]
    assert [span(timedelta(seconds=s)) for s in (0, 5, 60, 61, 3661, 90_000)] == [
        "0 s",
        "5 s",
        "1 min",
        "1 min 1 s",
        "1 h 1 min",
        "1 d",
    ]
    assert [size(n) for n in (0, 999, 1000, 1_234_567)] == ["0 B", "999 B", "1 kB", "1.23 MB"]
