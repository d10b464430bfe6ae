"""A command is a whole line that everybody sees as one; whatever may hide or quote it makes it none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.forge.commands import BadCommand, Command, commands_in

PUBLISH = Command("publish", {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/liftlock publish", [PUBLISH]),
        ("/liftlock", [Command("help", {})]),
        ("/liftlock  \t", [Command("help", {})]),
        ("Thanks!\n\n/liftlock format\r\n\r\nbye", [Command("format", {})]),
        (
            "/liftlock publish version=1.2 index=test",
            [Command("publish", {"version": "1.2", "index": "test"})],
        ),
        ("/liftlock ping\n/liftlock update-deps", [Command("ping", {}), Command("update-deps", {})]),
        ("```\ncode\n```\n/liftlock cancel", [Command("cancel", {})]),
        ("/liftlock retrigger\n<!-- a comment after it hides nothing -->", [Command("retrigger", {})]),
        ("a\r\r/liftlock ping", [Command("ping", {})]),
    ],
)
def test_a_line_of_its_own_is_a_command(text: str, found: list[Command]) -> None:
    assert commands_in(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "please /liftlock publish",
        " /liftlock publish",
        "\t/liftlock publish",
        "    /liftlock publish",
        "/liftlockpublish",
        "/Liftlock publish",
        "`/liftlock publish`",
        "\\/liftlock publish",
        "//liftlock publish",
        "/liftlock publish \u202e",
        "/liftlock\u00a0publish",
        "text\u2028/liftlock publish",
        "text\x0b/liftlock publish",
        "a line before\n/liftlock publish",
    ],
)
def test_what_is_no_whole_top_level_line_is_no_command(text: str) -> None:
    assert commands_in(text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "/liftlock deploy",
            "`deploy` is no command; there are cancel, format, help, ping, publish, retrigger, update-deps",
        ),
        ("/liftlock publish now", "`now` is no argument; expected name=value"),
        ("/liftlock publish a=1 a=2", "`a` is given twice"),
        ("/liftlock @everybody", "`?everybody` is no command"),
        ("/liftlock publish x=" + "y" * 600, "a command has at most 500 characters"),
        ("\n".join(["/liftlock ping"] * 4), "a comment may give 3 commands at most"),
    ],
)
def test_a_command_that_makes_no_sense_is_answered_with_what_is_wrong(text: str, reason: str) -> None:
    last = commands_in(text)[-1]
    assert isinstance(last, BadCommand)
    assert last.reason.startswith(reason)


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert len(commands_in(text)) <= 3


@given(
    st.lists(
        st.sampled_from(["> q", "```", "~~~", "````", "<!--", "-->", "", "- x", "/liftlock ping", "x"]),
        max_size=8,
    )
)
def test_a_command_never_counts_inside_of_an_open_block(lines: list[str]) -> None:
    fence = None
    expected = 0
    free, hidden = True, False
    for line in lines:
        if fence is not None:
            if line[:1] == fence[0] and set(line) == {fence[0]} and len(line) >= len(fence):
                fence, free = None, True
            continue
        if line in ("```", "~~~", "````"):
            fence = line
            continue
        hidden = hidden or line == "<!--"
        is_command = line == "/liftlock ping" and free and not hidden
        expected += is_command
        free = is_command or line == ""
    assert len(commands_in("\n".join(lines))) == min(expected, 3)
