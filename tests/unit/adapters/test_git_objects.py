"""Raw commit objects, as hostile or old as they come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.adapters.git.objects import parse_commit

REV = "a" * 40
RAW = b"""tree 1
parent 2
author Robin <robin@example.org> 1767225600 +0100
committer Sam <sam@example.org> 1767225601 +0000
gpgsig -----BEGIN
 author Forged <forged@example.org> 1 +0000

Subject

author Other <other@example.org> 1 +0000
"""


def test_a_commit_says_author_committer_time_and_message() -> None:
    commit = parse_commit(REV, RAW)
    assert (commit.author_name, commit.author_email) == ("Robin", "robin@example.org")
    assert commit.committer_email == "sam@example.org"
    assert commit.committed == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert commit.message == "Subject\n\nauthor Other <other@example.org> 1 +0000"


def test_the_first_header_of_a_name_counts() -> None:
    twice = RAW.replace(b"committer Sam", b"author Second <second@example.org> 1 +0000\ncommitter Sam")
    assert parse_commit(REV, twice).author_email == "robin@example.org"


def test_text_is_read_in_the_encoding_that_the_commit_names() -> None:
    raw = b"author J\xf6rg <j@x> 1 +0000\nencoding ISO-8859-1\n\n\xfcber"
    commit = parse_commit(REV, raw)
    assert (commit.author_name, commit.message) == ("Jörg", "über")


@pytest.mark.parametrize("encoding", [b"no-such-encoding", b"\xff", b"rot13", b"hex"])
def test_an_encoding_that_is_none_falls_back_to_replacing(encoding: bytes) -> None:
    assert "ber" in parse_commit(REV, b"encoding " + encoding + b"\n\n\xfcber").message


@pytest.mark.parametrize("seconds", [b"-1", b"99999999999999", b"-99999999999999", b"x"])
def test_a_time_that_is_none_is_an_instant_all_the_same(seconds: bytes) -> None:
    assert parse_commit(REV, b"committer S <s@x> " + seconds + b" +0000\n\n").committed.tzinfo is not None


@given(st.binary(max_size=300))
def test_no_object_crashes_the_parser(raw: bytes) -> None:
    commit = parse_commit(REV, raw)
    assert "\0" not in commit.author_name + commit.author_email + commit.message
