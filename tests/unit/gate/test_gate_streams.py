"""Frames and the stream of commits: whole, in pieces, and malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.errors import MalformedPayloadError
from liftlock.gate.commits import MAX_OBJECT, Commits, Raw
from liftlock.gate.frames import MAX_FRAME, Frames, frame, parse_hello

NAME = "0123456789abcdef0123456789abcdef01234567"
GIT = (
    b"tree 1\nparent 2\nparent 3\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n"
    b"gpgsig -----BEGIN\n \n parent 9\n -----END\n\nBug 7 - merge\n\nparent x\n"
)


def stream(*objects: tuple[str, bytes]) -> bytes:
    return b"".join(f"{NAME} {kind} {len(text)}\n".encode() + text + b"\n" for kind, text in objects)


@given(
    st.lists(st.tuples(st.sampled_from([b"H", b"R", b"C", b"N", b"E"]), st.binary(max_size=40))), st.data()
)
def test_frames_come_out_whole_however_the_bytes_arrive(
    sent: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    raw = b"".join(frame(kind, payload) for kind, payload in sent)
    frames, got, at = Frames(), [], 0
    while at < len(raw):
        size = data.draw(st.integers(1, len(raw) - at))
        got += list(frames.feed(raw[at : at + size]))
        at += size
    assert got == sent


@pytest.mark.parametrize("raw", [b"X\0\0\0\0", b"C" + (MAX_FRAME + 1).to_bytes(4, "big")])
def test_frames_of_an_unknown_kind_or_too_long_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        list(Frames().feed(raw))


def test_a_hello_is_pairs_and_their_last_equals_sign_belongs_to_the_value() -> None:
    assert parse_hello(b"v=1\nenv.X=a=b") == {"v": "1", "env.X": "a=b"}
    for bad in (b"nothing", b"x" * 9_000):
        with pytest.raises(MalformedPayloadError):
            parse_hello(bad)


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(1, 50))
def test_changesets_come_out_whole_however_the_stream_is_cut(messages: list[bytes], size: int) -> None:
    raw = stream(*(("changeset", b"m\nu\n0 0\nf\n\n" + message) for message in messages))
    commits = Commits()
    found = [each for at in range(0, len(raw), size) for each in commits.feed(raw[at : at + size])]
    assert [each.message for each in found] == messages
    assert not commits.pending


def test_a_git_commit_is_a_merge_by_its_headers_alone_and_its_signature_ends_none() -> None:
    [found] = Commits().feed(stream(("commit", GIT)))
    assert found == Raw(NAME, True, b"Bug 7 - merge\n\nparent x\n", "")
    [single] = Commits().feed(stream(("commit", GIT.replace(b"parent 3\n", b""))))
    assert not single.merge


@pytest.mark.parametrize(
    ("extra", "branch"),
    [
        (b"0 0", "default"),
        (b"0 0 branch:beta", "beta"),
        (b"0 0 amend_source:x\0branch:release x", "release x"),
        (b"0 0 branch:caf\xe9", "caf\ufffd"),
    ],
)
def test_a_changeset_says_its_branch_among_the_extras_of_its_date(extra: bytes, branch: str) -> None:
    [found] = Commits().feed(stream(("merge", b"m\nu\n" + extra + b"\nfile branch:no\n\nBug 7")))
    assert (found.branch, found.merge, found.message) == (branch, True, b"Bug 7")


def test_tags_and_blobs_in_the_stream_are_passed_over() -> None:
    found = list(Commits().feed(stream(("tag", b"x"), ("commit", GIT), ("blob", b"Bug 7"))))
    assert len(found) == 1


@pytest.mark.parametrize(
    "raw",
    [
        NAME.encode() + b" missing\n",
        b"zz commit 1\nx\n",
        NAME.encode() + b" commit -1\n",
        NAME.encode() + b" commit " + str(MAX_OBJECT + 1).encode() + b"\n",
        b"x" * 200,
    ],
)
def test_what_is_no_stream_of_commits_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        list(Commits().feed(raw))


def test_a_commit_that_is_cut_off_is_pending() -> None:
    commits = Commits()
    assert list(commits.feed(stream(("commit", GIT))[:-5])) == []
    assert commits.pending
