"""Sdists and wheels are read and never run; what is not in order is named with its file."""

from __future__ import annotations

import stat
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distribution_builders import INFO, METADATA, SDIST_NAME, WHEEL_NAME, sdist, special, wheel
from liftlock.domain.operations.distributions import check_release, read_distribution
from liftlock.domain.operations.parsing_samples import samples
from liftlock.domain.operations.parsings import PARSINGS, read_distributions
from liftlock.errors import InputValidationError


def linked(info: zipfile.ZipInfo) -> None:
    if info.filename.endswith("__init__.py"):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16


def test_a_wheel_is_read_with_its_metadata_and_the_digest_of_every_file() -> None:
    found = read_distribution(WHEEL_NAME, wheel())
    assert (found.kind, found.name, found.version, found.python) == ("bdist_wheel", "gadget", "1.0", "py3")
    assert sorted(found.files) == [
        f"{INFO}/METADATA",
        f"{INFO}/RECORD",
        f"{INFO}/WHEEL",
        "gadget/__init__.py",
    ]
    assert found.metadata["Classifier"] == ["A", "B"]
    assert found.metadata["Description"] == ["Text of it\n"]


def test_an_sdist_is_read_without_its_top_folder() -> None:
    found = read_distribution(SDIST_NAME, sdist(members={"gadget-1.0/src/gadget.py": b"x"}))
    assert (found.kind, found.python, sorted(found.files)) == (
        "sdist",
        "source",
        ["PKG-INFO", "src/gadget.py"],
    )


HOSTILE_WHEELS = [
    (wheel(extra={"../evil.py": b""}), "leads out of the archive"),
    (wheel(extra={"/etc/passwd": b""}), "leads out of the archive"),
    (wheel(extra={"gadget\\..\\evil.py": b""}), "leads out of the archive"),
    (wheel(extra={"GADGET/__init__.py": b""}), "is there twice"),
    (wheel(change=linked), "is no regular file"),
    (wheel(unlisted={"gadget/evil.py": b""}), "RECORD does not list 'gadget/evil.py'"),
    (
        wheel(
            record=lambda found: found.replace(b"gadget/__init__.py,sha256=", b"gadget/__init__.py,sha256=A")
        ),
        "is not what RECORD says",
    ),
    (wheel(record=lambda found: found.replace(b",6\n", b",7\n")), "is not what RECORD says"),
    (
        wheel(record=lambda found: found + b"gone.py,sha256=x,1\n"),
        "RECORD lists 'gone.py', which is not there",
    ),
    (wheel(record=lambda found: b"one\n"), "expected one line"),
    (wheel(record=lambda found: b"\xff"), "can't be read"),
    (wheel(metadata=METADATA.replace("1.0", "1.1")), "its name says gadget 1.0, its metadata gadget 1.1"),
    (wheel(metadata=METADATA.replace("gadget", "other")), "its metadata other 1.0"),
    (wheel(metadata="Name: gadget\nVersion: 1.0\n"), "0 Metadata-Version, expected one"),
    (
        wheel(metadata="Metadata-Version: 2.1\nName: gadget\nName: evil\nVersion: 1.0\n"),
        "2 Name, expected one",
    ),
    (wheel(without=f"{INFO}/WHEEL"), "WHEEL is missing"),
    (wheel(extra={"other-1.0.dist-info/METADATA": b""}), "expected one folder"),
    (b"#!/bin/sh\n" + wheel(), "before or after the archive"),
    (wheel()[:-30], "can't be read"),
    (b"", "can't be read"),
]


@pytest.mark.parametrize(
    ("content", "message"), HOSTILE_WHEELS, ids=[message[:40] for _, message in HOSTILE_WHEELS]
)
def test_a_wheel_that_is_not_what_it_seems_is_refused_with_its_name(content: bytes, message: str) -> None:
    with pytest.raises(InputValidationError, match=f"^{WHEEL_NAME}: .*{message}"):
        read_distribution(WHEEL_NAME, content)


HOSTILE_SDISTS = [
    (sdist(members={"gadget-1.0/../../evil": b""}), "leads out of the archive"),
    (sdist(members={"/etc/passwd": b""}), "leads out of the archive"),
    (sdist(members={"gadget-1.0/A": b"", "gadget-1.0/a": b""}), "is there twice"),
    (sdist(members={"other/evil": b""}), "everything in the one folder gadget-1.0"),
    (
        sdist(special=(special("gadget-1.0/link", tarfile.SYMTYPE, "/etc/passwd"),)),
        "neither a regular file nor a folder",
    ),
    (
        sdist(special=(special("gadget-1.0/link", tarfile.LNKTYPE, "gadget-1.0/PKG-INFO"),)),
        "neither a regular file nor a folder",
    ),
    (sdist(special=(special("gadget-1.0/null", tarfile.CHRTYPE),)), "neither a regular file nor a folder"),
    (sdist(special=(special("gadget-1.0/pipe", tarfile.FIFOTYPE),)), "neither a regular file nor a folder"),
    (sdist(metadata=METADATA.replace("1.0", "2.0")), "its name says gadget 1.0, its metadata gadget 2.0"),
    (sdist() + b"more", "something stands behind its end"),
    (sdist()[:-9], "it ends early"),
    (b"PK\x03\x04", "can't be read"),
]


@pytest.mark.parametrize(
    ("content", "message"), HOSTILE_SDISTS, ids=[message[:40] for _, message in HOSTILE_SDISTS]
)
def test_an_sdist_that_is_not_what_it_seems_is_refused_with_its_name(content: bytes, message: str) -> None:
    with pytest.raises(InputValidationError, match=f"^{SDIST_NAME}: .*{message}"):
        read_distribution(SDIST_NAME, content)


def test_what_unpacks_to_too_much_is_refused_without_unpacking_it_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("liftlock.domain.operations.distributions.MAX_UNPACKED_BYTES", 100_000)
    big = bytes(100_001)
    for name, content in (
        (WHEEL_NAME, wheel(extra={"gadget/big": big})),
        (SDIST_NAME, sdist(members={"gadget-1.0/big": big})),
    ):
        with pytest.raises(InputValidationError, match="unpacks to more than 100000 bytes"):
            read_distribution(name, content)


@pytest.mark.parametrize(
    "name", ["gadget.whl", "gadget-1.0-py3.whl", "gadget.tar.gz", "gadget-1.0.zip", "gadget-1.0.exe"]
)
def test_a_file_whose_name_is_none_of_a_distribution_is_refused(name: str) -> None:
    with pytest.raises(InputValidationError, match=f"^{name}: "):
        read_distribution(name, wheel())


def test_every_file_has_to_be_of_the_approved_project_and_version() -> None:
    found = [read_distribution(WHEEL_NAME, wheel()), read_distribution(SDIST_NAME, sdist())]
    check_release(found, "Gadget", "1.0.0")
    with pytest.raises(
        InputValidationError, match=r"it is gadget 1.0, and what was approved is gadget 1.0.1"
    ):
        check_release(found, "gadget", "1.0.1")
    with pytest.raises(InputValidationError, match=r"what was approved is widget 1\.0"):
        check_release(found, "widget", "1.0")


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_they_are_read_or_refused(content: bytes) -> None:
    for name in (WHEEL_NAME, SDIST_NAME):
        for whole in (content, wheel()[:60] + content, sdist()[:20] + content):
            with pytest.raises(InputValidationError):
                read_distribution(name, whole)


def test_every_parsing_answers_its_sample_and_refuses_nonsense() -> None:
    assert set(samples()) == set(PARSINGS)
    assert [one.kind for one in read_distributions(PARSINGS["release"](samples()["release"]))] == [
        "bdist_wheel",
        "sdist",
    ]
    for parsing in PARSINGS.values():
        with pytest.raises(InputValidationError):
            parsing(b"\xc1nonsense")
