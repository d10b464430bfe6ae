"""The worker's store of inputs, and its wheelhouse."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liftlock.adapters.store_files.store import KEPT_S, FileInputStore
from liftlock.adapters.store_files.wheelhouse import DirectoryWheelhouse
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.ports.input_store import Blob, InputRejectedError

DIGEST = hashlib.sha256(b"hello").hexdigest()


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def store(tmp_path: Path) -> FileInputStore:
    return FileInputStore(tmp_path, SystemEntropy())


def kept(blob: Blob) -> tuple[bytes, int]:
    path = Path(blob.path)
    return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)


def files(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())


async def test_bytes_are_kept_under_what_they_measure_and_can_not_be_changed(tmp_path: Path) -> None:
    blob = await store(tmp_path).add(chunks(b"hel", b"lo"), what="x", max_bytes=5, sha256=DIGEST)
    assert (blob.sha256, blob.size) == (DIGEST, 5)
    assert kept(blob) == (b"hello", 0o444)
    assert store(tmp_path).blob(DIGEST) == blob
    assert store(tmp_path).blob("0" * 64) is None


async def test_other_bytes_than_promised_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputRejectedError) as caught:
        await store(tmp_path).add(chunks(b"hellO"), what="x", max_bytes=5, sha256=DIGEST)
    observed = hashlib.sha256(b"hellO").hexdigest()
    assert caught.value.message == f"x: declared sha256 {DIGEST}, observed {observed} (5 bytes)"
    assert files(tmp_path) == ["boot"]


async def test_one_byte_too_many_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputRejectedError, match="x: it has more than 4 bytes"):
        await store(tmp_path).add(chunks(b"hel", b"lo"), what="x", max_bytes=4)
    assert files(tmp_path) == ["boot"]


async def test_a_sender_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"hel"
        raise InputRejectedError("gone")

    with pytest.raises(InputRejectedError, match="gone"):
        await store(tmp_path).add(broken(), what="x", max_bytes=5)
    assert files(tmp_path) == ["boot"]


def test_what_a_crash_left_is_cleared(tmp_path: Path) -> None:
    store(tmp_path)
    (tmp_path / "incoming" / "half").write_bytes(b"x")
    store(tmp_path)
    assert files(tmp_path) == ["boot"]


def test_a_tree_is_known_once_it_is_complete(tmp_path: Path) -> None:
    trees = store(tmp_path)
    name = trees.new_tree_name()
    (tmp_path / "trees" / name).mkdir()
    (tmp_path / "trees" / name / "module.py").write_text("x")
    assert trees.tree(DIGEST) is None
    assert trees.commit_tree(name, DIGEST) == trees.tree(DIGEST) == str(tmp_path / "trees" / DIGEST)
    other = trees.new_tree_name()
    (tmp_path / "trees" / other).mkdir()
    (tmp_path / "trees" / other / "module.py").write_text("y")
    assert trees.commit_tree(other, DIGEST) == str(tmp_path / "trees" / DIGEST)
    assert (tmp_path / "trees" / DIGEST / "module.py").read_text() == "x"


def test_trees_of_before_the_machine_was_restarted_are_made_anew(tmp_path: Path) -> None:
    trees = store(tmp_path)
    name = trees.new_tree_name()
    (tmp_path / "trees" / name).mkdir()
    trees.commit_tree(name, DIGEST)
    assert store(tmp_path).tree(DIGEST) is not None
    (tmp_path / "boot").write_text("another\n")
    assert store(tmp_path).tree(DIGEST) is None
    assert all(path.name.startswith(".new-") for path in (tmp_path / "trees").iterdir())


async def test_wheels_are_found_by_name_and_measured_again_when_they_change(tmp_path: Path) -> None:
    one = tmp_path / "Foo_Bar-1.0-py3-none-any.whl"
    one.write_bytes(b"hello")
    (tmp_path / "other-1.0-py3-none-any.whl").write_bytes(b"x")
    (tmp_path / "foo_bar-1.0.tar.gz").write_bytes(b"x")
    house = DirectoryWheelhouse(tmp_path)
    assert house.candidates("foo-bar") == {DIGEST: one.name}
    assert b"".join([chunk async for chunk in house.read(one.name)]) == b"hello"
    one.write_bytes(b"changed")
    assert house.candidates("foo-bar") == {hashlib.sha256(b"changed").hexdigest(): one.name}


async def test_blobs_that_nobody_needed_for_long_make_room(tmp_path: Path) -> None:
    kept = FileInputStore(tmp_path, SystemEntropy(), max_bytes=12)
    old, used, new = [
        (await kept.add(chunks(text), what="x", max_bytes=9)) for text in (b"old..", b"used.", b"new..")
    ]
    hours_ago = time.time() - KEPT_S - 60
    for blob in (old, used):
        os.utime(blob.path, (hours_ago, hours_ago))
    assert kept.blob(used.sha256) is not None
    last = await kept.add(chunks(b"last."), what="x", max_bytes=9)
    assert [kept.blob(blob.sha256) is not None for blob in (old, used, new, last)] == [
        False,
        True,
        True,
        True,
    ]
