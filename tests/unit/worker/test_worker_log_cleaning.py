"""What of a task's output reaches the log: cleaned, no line of the worker's imitated, secrets masked; however it is cut."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.worker.logs.cleaning import Cleaner, clean_text
from liftlock.worker.logs.guarding import Guard
from liftlock.worker.logs.masking import Mask

SNIPPETS = st.sampled_from(
    [
        b"text ", b"\n", b"\r\n", b"\r", b"\x1b[31m", b"\x1b[0m", b"\x1b]0;title\x07", b"\x1b]8;;http://x\x1b\\", b"\x1b[2J",
        b"\x1b", b"[", b"[liftlock 2026] ok", b"[LiftLock", b" \t[lift", b"lock ", b"\xc3", b"\xa4", b"\xff", b"\x00", b"\x08",
        b"\xe2\x80\xae", b"hunter2", b"secret", b"hunter2secret", b"\x1b[3", b"1m", b"[task", b"cluster x",
    ]
)  # fmt: skip
OUTPUT = st.lists(SNIPPETS, max_size=40).map(b"".join)


def whole(
    data: bytes, chunks: list[bytes] | None = None, secrets: tuple[str, ...] = ("hunter2secret",)
) -> str:
    cleaner, guard, mask = Cleaner(), Guard(), Mask(secrets)
    out = [mask.feed(guard.feed(cleaner.feed(chunk))) for chunk in (chunks or [data])]
    rest = guard.feed(cleaner.finish()) + guard.finish()
    return "".join(out) + mask.feed(rest) + mask.finish()


@given(OUTPUT, st.lists(st.integers(0, 400), max_size=12))
def test_where_the_output_is_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    at = sorted({min(cut, len(data)) for cut in cuts})
    chunks = [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]
    assert whole(data, chunks) == whole(data)


@given(OUTPUT)
def test_only_text_tabs_line_ends_and_colours_are_left(data: bytes) -> None:
    left = re.sub(r"\x1b\[[0-9;]{0,32}m", "", whole(data))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", left)


@given(OUTPUT)
def test_no_line_of_a_task_begins_like_one_of_the_worker(data: bytes) -> None:
    for line in re.sub(r"\x1b\[[0-9;]{0,32}m", "", whole(data)).split("\n"):
        assert not line.strip().lower().startswith(("[liftlock", "[taskcluster")), line


@given(OUTPUT)
def test_a_secret_is_never_left(data: bytes) -> None:
    assert "hunter2secret" not in whole(data)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        (b"a\x1b]0;title\x07b\x1b]52;c;ZXZpbA==\x1b\\c", "abc"),
        (b"\x1b[2J\x1b[1A\x1b[?25lx", "x"),
        (b"\x1bPq#0;2;0\x1b\\x", "x"),
        (b"10%\r20%\r\n", "10%\n20%\n"),
        (b"a\x08b\x00c", "a\ufffdb\ufffdc"),
        ("\x9b31mx\u202ey".encode(), "\ufffd31mx\ufffdy"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"\x1b]no end\nnext", "no end\nnext"),
    ],
)
def test_sequences_are_dropped_and_control_characters_replaced(data: bytes, shown: str) -> None:
    assert whole(data) == shown
    assert clean_text(data.decode("utf-8", "replace")) == shown


def test_a_character_cut_by_a_chunk_is_one_character() -> None:
    raw = "zäh".encode()
    assert whole(b"", [raw[:2], raw[2:]]) == "zäh"


@pytest.mark.parametrize(
    "line",
    [
        b"[liftlock 2026-01-01T00:00:00.000Z] the run ends as completed",
        b"  \t[liftlock x",
        b"\x1b[31m[lift\x1b[0mlock x",
        b"[TaskCluster 2026] x",
        b"\x08[liftlock"[1:],
        b"\xc2\xa0[liftlock",
    ],
)
@pytest.mark.parametrize("before", [b"", b"text\n", b"text\r", b"text\r\n"])
def test_a_line_like_the_workers_gets_a_backslash(before: bytes, line: bytes) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", whole(before + line)).split("\n")[-1].strip()
    assert shown.startswith("\\[")


def test_the_mark_inside_a_line_stays_as_it_is() -> None:
    assert whole(b"see [liftlock docs]\n") == "see [liftlock docs]\n"


def test_a_start_of_a_line_that_turns_out_harmless_is_shown_as_it_is() -> None:
    assert whole(b"", [b"[lift", b"off]\n", b"[ok]\n"]) == "[liftoff]\n[ok]\n"


def test_colours_without_end_at_the_start_of_a_line_are_not_held_for_ever() -> None:
    guard = Guard()
    shown = guard.feed("[" + "\x1b[31m" * 1000)
    assert shown.startswith("\\[")
    assert not guard.holds


def test_a_secret_cut_by_chunks_is_masked_and_text_before_it_is_not_held() -> None:
    mask = Mask(["hunter2secret"])
    assert mask.feed("a hunter2") == "a "
    assert mask.feed("secret b") == "[hidden] b"
    assert mask.feed("hunter2") == ""
    assert mask.finish() == "hunter2"
    assert mask.hidden == 1


@pytest.mark.parametrize(
    "spelling",
    ["pass word/=+1", "pass%20word%2F%3D%2B1", "cGFzcyB3b3JkLz0rMQ==", "cGFzcyB3b3JkLz0rMQ", "second line"],
)
def test_a_secret_is_masked_in_its_usual_spellings(spelling: str) -> None:
    mask = Mask(["pass word/=+1", "first line\n  second line\n"])
    assert mask.whole(f"<{spelling}>") == "<[hidden]>"


TRICKY = "p\"w\\d/<é>\n'q\u2028&\U0001f511x"


@pytest.mark.parametrize(
    "shown",
    [
        json.dumps(TRICKY),
        json.dumps({"deep": [TRICKY]}, ensure_ascii=False),
        json.dumps(TRICKY).replace("/", "\\/"),
        json.dumps(TRICKY).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
        json.dumps(json.loads(json.dumps(TRICKY)), indent=2),
        repr(TRICKY),
        repr([TRICKY]),
        ascii(TRICKY),
        repr(TRICKY.encode()),
    ],
)
def test_a_secret_is_masked_as_json_and_python_write_it(shown: str) -> None:
    masked = Mask([TRICKY]).whole(f"token={shown}!")
    assert "[hidden]" in masked
    assert not {"w", "q"} & set(masked)


@given(st.text(min_size=6, max_size=30).filter(lambda text: len(text.strip()) == len(text)))
def test_whatever_a_secret_is_made_of_its_notations_are_masked(secret: str) -> None:
    shown = [json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret), ascii(secret)]
    for one in shown:
        assert Mask([secret]).whole(one) == f"{one[0]}[hidden]{one[-1]}"


def test_a_value_too_short_to_hide_leaves_the_log_readable() -> None:
    assert Mask(["a", "true"]).whole("a is true") == "a is true"


def test_the_longer_of_two_secrets_wins() -> None:
    assert Mask(["secret", "secret-long"]).whole("secret-long secret") == "[hidden] [hidden]"


def test_secrets_may_become_known_on_the_way() -> None:
    mask = Mask()
    assert mask.feed("one-secret ") == "one-secret "
    mask.add(["one-secret"])
    assert mask.feed("one-secret ") == "[hidden] "
