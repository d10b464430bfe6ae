"""A comment can't make liftlock do what its readers do not see it ask for."""

from __future__ import annotations

import pytest

from liftlock.domain.forge.commands import commands_in


@pytest.mark.parametrize(
    "text",
    [
        "> /liftlock publish",
        "> somebody said\n/liftlock publish",  # goes on with the quote, though it has no mark
        ">\n/liftlock publish",
        ">> deep\n> less\n/liftlock publish",
        "- an item\n/liftlock publish",
        "1. an item\n/liftlock publish",
    ],
)
def test_a_command_in_a_quote_or_a_list_is_not_run(text: str) -> None:
    assert commands_in(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "```\n/liftlock publish\n```",
        "```\n\n/liftlock publish\n\n```",
        "~~~~ sh\n/liftlock publish\n~~~\n\n/liftlock publish",
        "   ```\n/liftlock publish",
        "````\n```\n\n/liftlock publish\n````",
        "```\n``` no end\n\n/liftlock publish",
        "    indented\n\n    /liftlock publish",
        "`a\n/liftlock publish\nb`",
    ],
)
def test_a_command_in_a_code_block_is_not_run(text: str) -> None:
    assert commands_in(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "<!--\n/liftlock publish\n-->",
        "<!--\n\n/liftlock publish\n\n-->",
        "looks fine <!-- \n\n/liftlock publish",
        "<details>\n\n/liftlock publish\n\n</details>",
        "<div hidden>\n\n/liftlock publish",
        "<?\n\n/liftlock publish\n\n?>",
        "<![CDATA[\n\n/liftlock publish\n\n]]>",
        "<span style='display:none'>\n\n/liftlock publish",
        "[x]: y '\n/liftlock publish\n'",
    ],
)
def test_a_command_in_an_html_comment_or_a_collapsed_section_is_not_run(text: str) -> None:
    assert commands_in(text) == []
