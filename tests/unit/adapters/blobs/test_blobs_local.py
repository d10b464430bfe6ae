"""Local blobs: measured, create-only, whole or not there, verified when read."""

from __future__ import annotations

import gzip
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftlock.adapters.blobs.local import CHUNK_BYTES, LocalBlobs
from liftlock.adapters.blobs.measuring import Measure
from liftlock.domain.tasks.artifacts import Content, Encoding
from liftlock.errors import InputInvalidError, StorageError, TooLargeError

LIMIT = 10_000_000


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


async def stored(blobs: LocalBlobs, data: bytes, encoding: Encoding = "identity") -> Content:
    async with blobs.writer(encoding, max_bytes=LIMIT) as writer:
        for start in range(0, len(data), 70_000):
            await writer.write(data[start : start + 70_000])
        return await writer.finish()


async def read(blobs: LocalBlobs, digest: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(digest, start, stop)])


def files(blobs_root: Path) -> list[str]:
    return sorted(path.name for path in blobs_root.rglob("*") if path.is_file() and path.name != "lock")


def path_of(root: Path, content: Content) -> Path:
    return next(root.rglob(content.blob))


async def test_bytes_come_back_and_are_measured(blobs: LocalBlobs) -> None:
    data = os.urandom(3 * CHUNK_BYTES + 5)
    content = await stored(blobs, data)
    digest = hashlib.sha256(data).hexdigest()
    assert (content.blob, content.sha256, content.length, content.stored_bytes) == (
        digest,
        digest,
        len(data),
        len(data),
    )
    assert content.sha512 == hashlib.sha512(data).hexdigest()
    assert await read(blobs, digest) == data
    assert await blobs.size(digest) == len(data)


async def test_compressed_bytes_are_stored_as_sent_and_measured_as_what_they_hold(blobs: LocalBlobs) -> None:
    data = b"log line\n" * 100_000
    sent = gzip.compress(data)
    content = await stored(blobs, sent, "gzip")
    assert await read(blobs, content.blob) == sent
    assert (content.sha256, content.length) == (hashlib.sha256(data).hexdigest(), len(data))
    assert content.blob == hashlib.sha256(sent).hexdigest()


@pytest.mark.parametrize(
    "sent",
    [b"", b"not gzip", gzip.compress(b"x" * 1000, mtime=0)[:-1], gzip.compress(b"x", mtime=0) + b"tail"],
    ids=["empty", "no gzip", "cut short", "with a tail"],
)
async def test_what_is_not_of_its_encoding_is_refused_and_leaves_nothing(
    blobs: LocalBlobs, tmp_path: Path, sent: bytes
) -> None:
    with pytest.raises(InputInvalidError):
        await stored(blobs, sent, "gzip")
    assert files(tmp_path) == []


async def test_an_upload_beyond_its_limit_is_refused_and_leaves_nothing(
    blobs: LocalBlobs, tmp_path: Path
) -> None:
    async with blobs.writer("identity", max_bytes=10) as writer:
        await writer.write(b"x" * 11)
        with pytest.raises(TooLargeError):
            await writer.finish()
    assert files(tmp_path) == []


async def test_an_upload_that_breaks_off_leaves_nothing(blobs: LocalBlobs, tmp_path: Path) -> None:
    async def broken_off() -> None:
        async with blobs.writer("identity", max_bytes=LIMIT) as writer:
            await writer.write(b"x" * (CHUNK_BYTES + 1))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await broken_off()
    assert files(tmp_path) == []


async def test_the_same_bytes_are_stored_once(blobs: LocalBlobs, tmp_path: Path) -> None:
    first, second = await stored(blobs, b"same"), await stored(blobs, b"same")
    assert first == second
    assert files(tmp_path) == [first.blob]


async def test_a_stored_blob_is_read_only(blobs: LocalBlobs, tmp_path: Path) -> None:
    content = await stored(blobs, b"x")
    path = path_of(tmp_path, content)
    assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("size", [10, CHUNK_BYTES + 10])
async def test_a_changed_blob_is_never_read_to_its_end(blobs: LocalBlobs, tmp_path: Path, size: int) -> None:
    content = await stored(blobs, b"x" * size)
    path = path_of(tmp_path, content)
    path.chmod(0o600)
    path.write_bytes(b"x" * (size - 1) + b"y")
    got: list[bytes] = []

    async def take() -> None:
        async for chunk in blobs.read(content.blob):
            got.append(chunk)  # noqa: PERF401 -- what came before the error is to be seen

    with pytest.raises(StorageError, match="damaged"):
        await take()
    assert len(b"".join(got)) < size
    with pytest.raises(StorageError, match="damaged"):
        await read(blobs, content.blob, 0, 1)


async def test_a_missing_blob_is_an_error_and_has_no_size(blobs: LocalBlobs) -> None:
    assert await blobs.size("0" * 64) is None
    with pytest.raises(StorageError, match="not in the store"):
        await read(blobs, "0" * 64)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "0" * 63, "0" * 63 + "G", ""])
async def test_only_digests_name_blobs(blobs: LocalBlobs, digest: str) -> None:
    with pytest.raises(StorageError, match="64 hexadecimal"):
        await blobs.size(digest)


async def test_ranges_are_those_of_the_bytes(blobs: LocalBlobs) -> None:
    data = bytes(range(256)) * 3000
    content = await stored(blobs, data)
    for start, stop in ((0, 1), (5, 300_000), (len(data) - 1, None), (7, 7), (0, len(data) + 5)):
        assert await read(blobs, content.blob, start, stop) == data[start:stop]


async def test_removal_spares_what_was_stored_again_since(blobs: LocalBlobs) -> None:
    content = await stored(blobs, b"x")
    hour = timedelta(hours=1)
    assert not await blobs.remove(content.blob, unused_since=datetime.now(UTC) - hour)
    assert await read(blobs, content.blob) == b"x"
    assert await blobs.remove(content.blob, unused_since=datetime.now(UTC) + hour)
    assert await blobs.size(content.blob) is None
    assert await blobs.remove(content.blob, unused_since=datetime.now(UTC) + hour)


async def test_leftovers_of_crashes_are_removed_when_they_are_old(blobs: LocalBlobs, tmp_path: Path) -> None:
    leftover = tmp_path / "blobs" / "tmp" / "half"
    leftover.write_bytes(b"half")
    os.utime(leftover, (1000, 1000))
    blobs.remove_leftovers(before=datetime.fromtimestamp(1000, UTC))
    assert leftover.exists()
    blobs.remove_leftovers(before=datetime.fromtimestamp(1001, UTC))
    assert not leftover.exists()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.binary(max_size=2000), max_size=4), st.integers(1, 500))
def test_any_gzip_stream_in_any_pieces_is_measured_as_its_content(members: list[bytes], size: int) -> None:
    data = b"".join(members)
    sent = b"".join(gzip.compress(member) for member in members) or gzip.compress(b"")
    measure = Measure("gzip", LIMIT)
    for start in range(0, len(sent), size):
        measure.take(sent[start : start + size])
    result = measure.result()
    assert (result.length, result.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert result.stored_bytes == len(sent)


def test_a_bomb_is_measured_without_being_held_in_memory() -> None:
    measure = Measure("gzip", LIMIT)
    measure.take(gzip.compress(bytes(200_000_000), 1))
    assert measure.result().length == 200_000_000
