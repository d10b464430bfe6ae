"""The worker's store of inputs, and its wheelhouse."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liftlock.adapters.store_files.directories import boot_id
from liftlock.adapters.store_files.store import KEPT_S, FileInputStore
from liftlock.adapters.store_files.unsettled import Unsettled
from liftlock.adapters.store_files.wheelhouse import DirectoryWheelhouse
from liftlock.adapters.store_files.writing import BATCH_BYTES
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


async def test_a_blob_has_a_marker_until_it_is_on_the_disk(tmp_path: Path) -> None:
    settling = store(tmp_path)
    await settling.add(chunks(b"hello"), what="x", max_bytes=5)
    settling.wait_for_disk()
    assert list((tmp_path / "unsettled").iterdir()) == []
    assert await store(tmp_path).verified(DIGEST) is not None


async def test_what_was_not_on_the_disk_when_the_machine_stopped_is_gone(tmp_path: Path) -> None:
    for text, stays in (("another start", False), ("", False), (boot_id(), True)):
        writing = store(tmp_path)
        await writing.add(chunks(b"hello"), what="x", max_bytes=5)
        await writing.add(chunks(b"other"), what="y", max_bytes=5)
        writing.wait_for_disk()
        (tmp_path / "unsettled" / DIGEST).write_text(text)  # as if it had not got there
        again = store(tmp_path)
        assert (again.blob(DIGEST) is not None) is stays
        assert again.blob(hashlib.sha256(b"other").hexdigest()) is not None
        again.wait_for_disk()
        assert list((tmp_path / "unsettled").iterdir()) == []


async def test_a_blob_that_is_written_anew_while_it_goes_to_the_disk_keeps_its_marker(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_bytes(b"x")
    markers = Unsettled(tmp_path / "unsettled", tmp_path / "blobs")
    markers.mark("x")
    markers.mark("x")
    markers.settle("x")
    markers.wait()
    assert (tmp_path / "unsettled" / "x").read_text() == boot_id()
    markers.settle("x")
    markers.wait()
    assert not (tmp_path / "unsettled" / "x").exists()


def test_a_tree_is_known_once_it_is_complete(tmp_path: Path) -> None:
    trees = store(tmp_path)
    name = trees.new_tree_name()
    (tmp_path / "trees" / name).mkdir()
    (tmp_path / "trees" / name / "module.py").write_text("x")
    assert trees.tree(DIGEST, "run") is None
    assert (
        trees.commit_tree(name, DIGEST, "run", 5)
        == trees.tree(DIGEST, "run")
        == str(tmp_path / "trees" / DIGEST)
    )
    other = trees.new_tree_name()
    (tmp_path / "trees" / other).mkdir()
    (tmp_path / "trees" / other / "module.py").write_text("y")
    assert trees.commit_tree(other, DIGEST, "run", 5) == str(tmp_path / "trees" / DIGEST)
    assert (tmp_path / "trees" / DIGEST / "module.py").read_text() == "x"


def test_trees_of_before_the_machine_was_restarted_are_made_anew(tmp_path: Path) -> None:
    trees = store(tmp_path)
    name = trees.new_tree_name()
    (tmp_path / "trees" / name).mkdir()
    trees.commit_tree(name, DIGEST, "run", 5)
    assert store(tmp_path).tree(DIGEST, "run") is not None
    (tmp_path / "boot").write_text("another\n")
    assert store(tmp_path).tree(DIGEST, "run") is None
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


def made(trees: FileInputStore, tmp_path: Path, number: int, size: int = 40, holder: str = "run") -> str:
    """A tree of the store, complete."""
    name, digest = trees.new_tree_name(), f"{number:064x}"
    (tmp_path / "trees" / name).mkdir()
    (tmp_path / "trees" / name / "file").write_bytes(bytes(size))
    trees.commit_tree(name, digest, holder, size)
    os.utime(tmp_path / "sizes" / digest, (number, number))
    return digest


def there(tmp_path: Path) -> list[int]:
    """The numbers of the complete trees."""
    names = os.listdir(tmp_path / "trees")
    return sorted(int(name, 16) for name in names if not name.startswith(".new-"))


def test_trees_that_nobody_holds_give_way_the_least_lately_used_first(tmp_path: Path) -> None:
    trees = FileInputStore(tmp_path, SystemEntropy(), max_tree_bytes=100)
    for number in (1, 2, 3):
        made(trees, tmp_path, number)
    assert trees.surplus_trees() == (), "a run holds them all"
    trees.release_trees("run")
    [name] = trees.surplus_trees()
    assert name.startswith(".new-")
    assert there(tmp_path) == [2, 3]
    assert (tmp_path / "trees" / name / "file").exists(), "who removes it is the sandbox's launcher"
    assert trees.surplus_trees() == ()
    assert trees.tree(f"{1:064x}", "run") is None


def test_a_tree_that_another_run_holds_stays(tmp_path: Path) -> None:
    trees = FileInputStore(tmp_path, SystemEntropy(), max_tree_bytes=50)
    digests = [made(trees, tmp_path, number, holder=f"run {number}") for number in (1, 2, 3)]
    trees.release_trees("run 2")
    trees.release_trees("run 3")
    assert trees.tree(digests[1], "run 4") is not None
    assert len(trees.surplus_trees()) == 1
    assert there(tmp_path) == [1, 2], "1 is held by who made it, 2 by who found it"


def test_a_use_keeps_a_tree_longer(tmp_path: Path) -> None:
    trees = FileInputStore(tmp_path, SystemEntropy(), max_tree_bytes=100)
    digests = [made(trees, tmp_path, number) for number in (1, 2, 3)]
    assert trees.tree(digests[0], "run") is not None
    trees.release_trees("run")
    trees.surplus_trees()
    assert there(tmp_path) == [1, 3]


def test_sizes_are_known_after_a_restart_also_where_the_worker_was_killed_before_it_said_them(
    tmp_path: Path,
) -> None:
    trees = FileInputStore(tmp_path, SystemEntropy())
    for number in (1, 2, 3):
        made(trees, tmp_path, number)
    (tmp_path / "sizes" / f"{2:064x}").unlink()
    (tmp_path / "sizes" / "gone").write_text("7")
    again = FileInputStore(tmp_path, SystemEntropy(), max_tree_bytes=100)
    assert len(again.surplus_trees()) == 1
    assert there(tmp_path) == [1, 3], "what nobody said a last use of goes first"
    assert not (tmp_path / "sizes" / "gone").exists()


@pytest.mark.parametrize("size", [0, 1, BATCH_BYTES - 1, BATCH_BYTES, 3 * BATCH_BYTES + 7])
async def test_a_file_of_any_number_of_batches_is_measured_and_whole(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_003):
            yield content[start : start + 100_003]

    digest = hashlib.sha256(content).hexdigest()
    blob = await store(tmp_path).add(pieces(), what="x", max_bytes=size or 1, sha256=digest, size=size)
    assert kept(blob) == (content, 0o444)
    assert (blob.sha256, blob.size) == (digest, size)


async def test_a_source_that_fails_after_many_batches_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield bytes(BATCH_BYTES)
        raise OSError("the connection is gone")

    with pytest.raises(OSError, match="the connection is gone"):
        await store(tmp_path).add(broken(), what="x", max_bytes=1 << 30)
    assert files(tmp_path) == ["boot"]
