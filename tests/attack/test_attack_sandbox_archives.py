"""Hostile archives and bundles: unpacked in a sandbox, by bytes counted, and refused with the entry's name."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest
import pytest_asyncio

from liftlock.ports.sandbox import MIB, DiskLimits, Rejected, UnpackRequest, UnpackResult
from sandboxes import KINDS, SMALL_DISK, Machine, machine

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(params=KINDS, scope="module", loop_scope="module")
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    async with machine(request.param, slots=1) as made:
        yield made


def tar(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for entry in entries:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


async def unpack(
    here: Machine, *archives: bytes, disk: DiskLimits = SMALL_DISK, **further: object
) -> UnpackResult:
    await here.scratch(0, disk)
    paths = tuple(here.put(f"archive-{number}", content) for number, content in enumerate(archives))
    request = UnpackRequest(paths, here.scratches[0], **{"path": "src", **further})  # type: ignore[arg-type]
    result = await here.sandbox.unpack(request)
    for path in paths:
        os.unlink(path)
    return result


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


LINK = tarfile.SYMTYPE
REFUSED: dict[str, tuple[bytes, str]] = {
    "traversal": (tar((entry("../evil"), b"x")), "'../evil' leads out"),
    "traversal in the middle": (tar((entry("a/../../evil"), b"x")), "leads out"),
    "absolute": (tar((entry("/build/evil"), b"x")), "'/build/evil' has or links to an absolute name"),
    "symlink, then write": (tar(entry("d", LINK, "/tmp"), (entry("d/evil"), b"x")), "symlink"),
    "relative symlink, then write": (tar(entry("d", LINK, ".."), (entry("d/evil"), b"x")), "symlink"),
    "chain of symlinks": (
        tar(entry("a", LINK, "."), entry("a/b", LINK, ".."), (entry("a/b/evil"), b"x")),
        "symlink",
    ),
    "hard link outside": (tar(entry("h", tarfile.LNKTYPE, "../../etc/passwd")), "leads out"),
    "absolute hard link": (tar(entry("h", tarfile.LNKTYPE, "/etc/passwd")), "absolute name"),
    "hard link through a symlink": (
        tar(entry("d", LINK, "/etc"), entry("h", tarfile.LNKTYPE, "d/passwd")),
        "archive 1: h",
    ),
    "character device": (tar(entry("mem", tarfile.CHRTYPE)), "'mem' is a device"),
    "block device": (tar(entry("disk", tarfile.BLKTYPE)), "'disk' is a device"),
    "fifo": (tar(entry("pipe", tarfile.FIFOTYPE)), "'pipe' is a fifo"),
    "not an archive": (b"#!/bin/sh\nrm -rf /\n" * 100, "Unrecognized archive format"),
    "nothing at all": (b"", "archive 1: it holds nothing"),
    "cut short": (tar((entry("a"), b"x" * 100_000))[:-20_000], "archive 1: "),
    "compressed and cut short": (
        tar((entry("a"), Random(1).randbytes(100_000)), mode="w:gz")[:-2000],
        "archive 1: ",
    ),
    "a flipped byte": (
        flipped(tar((entry("a"), Random(1).randbytes(100_000)), mode="w:xz"), 50_000),
        "archive 1: ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_attack_a_hostile_entry_is_refused_by_name_and_nothing_is_kept(
    here: Machine, name: str
) -> None:
    content, words = REFUSED[name]
    result = await unpack(here, tar((entry("good"), b"good")), content)
    assert result.problem is not None
    assert words.replace("archive 1", "archive 2") in result.problem
    assert await here.shell("ls -A /build; ls -A /tmp") == ""
    assert not Path("/tmp/evil").exists()  # noqa: ASYNC240 - a look at the host, between two sandboxes


async def test_attack_the_filter_escape_of_pythons_tarfile_stays_inside(here: Machine) -> None:
    """Long links that resolve beyond what a filter normalises: the extractor never follows a link it made."""
    deep = "d" * 200
    links, path = [], ""
    for name in "abcdefghijklmnop":
        links += [entry(path + deep, tarfile.DIRTYPE, mode=0o755), entry(path + name, LINK, deep)]
        path += name + "/"
    end = path + "l" * 200
    up = entry(end, LINK, "../" * 16)
    escape = entry("escape", LINK, end + "/../../..")
    result = await unpack(here, tar(*links, up, escape, (entry("escape/evil"), b"x")))
    assert result.problem is not None
    assert await here.shell("find / -xdev -name evil 2>/dev/null || true; ls -A /build") == ""


async def test_attack_setuid_bits_and_owners_are_not_kept(here: Machine) -> None:
    info = entry("su", mode=0o6755)
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    result = await unpack(here, tar((info, b"x"), entry("dir", tarfile.DIRTYPE, mode=0o7777)))
    assert result.problem is None
    assert await here.shell("stat -c '%a %u %n' src/su src/dir") == "755 1000 src/su\n755 1000 src/dir\n"


async def test_attack_a_bomb_stops_at_its_cap(here: Machine) -> None:
    bomb = gzip.compress(tar((entry("zeros"), bytes(40 * MIB))))
    assert len(bomb) < MIB
    result = await unpack(here, bomb, max_bytes=8 * MIB)
    assert result.problem == f"archive 1: unpacks to more than {8 * MIB} bytes"
    assert await here.shell("ls -A") == ""


async def test_attack_a_zip_bomb_stops_at_its_cap(here: Machine) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(str(number), bytes(4 * MIB))
    result = await unpack(here, file.getvalue(), max_bytes=8 * MIB)
    assert result.problem == f"archive 1: unpacks to more than {8 * MIB} bytes"


async def test_attack_a_nested_bomb_is_unpacked_one_layer_deep(here: Machine) -> None:
    inner = gzip.compress(tar((entry("zeros"), bytes(20 * MIB))))
    result = await unpack(here, tar((entry("inner.tar.gz"), inner)), max_bytes=MIB)
    assert result.problem is None
    assert await here.shell("ls src") == "inner.tar.gz\n"


async def test_attack_a_zip_that_lies_about_its_sizes_is_refused_or_capped(here: Machine) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lie", bytes(4 * MIB))
    honest = file.getvalue()
    lying = honest.replace((4 * MIB).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != honest
    result = await unpack(here, lying, max_bytes=MIB)
    if result.problem is None:
        assert int(await here.shell("stat -c %s src/lie")) <= MIB


async def test_attack_a_sparse_file_counts_with_its_full_size(here: Machine, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
    archive = tmp_path / "sparse.tar"
    _run("bsdtar", "--read-sparse", "-cf", str(archive), "--format=pax", "-C", str(tmp_path), "sparse")
    content = archive.read_bytes()
    assert len(content) < MIB
    result = await unpack(here, content, max_bytes=8 * MIB)
    assert result.problem == f"archive 1: unpacks to more than {8 * MIB} bytes"


async def test_attack_too_many_empty_files_stop_at_the_cap(here: Machine) -> None:
    result = await unpack(here, tar(*(entry(str(number)) for number in range(3000))), max_entries=1000)
    assert result.problem == "archive 1: more than 1000 entries"
    assert await here.shell("ls -A") == ""


async def test_attack_caps_hold_for_all_archives_of_a_request_together(here: Machine) -> None:
    half = tar((entry("a"), bytes(600_000)))
    result = await unpack(here, half, half, max_bytes=MIB)
    assert result.problem == f"archive 2: unpacks to more than {MIB} bytes"


async def test_attack_an_archive_does_not_unpack_into_a_link_that_an_earlier_one_made(here: Machine) -> None:
    await here.scratch(0)
    await here.shell("ln -s /tmp link")
    path = here.put("archive", tar((entry("evil"), b"x")))
    for target in ("link", "link/below"):
        result = await here.sandbox.unpack(UnpackRequest((path,), here.scratches[0], target))
        assert result.problem is not None
        assert "link" in result.problem
    os.unlink(path)


async def test_attack_a_target_outside_of_the_scratch_is_refused(here: Machine) -> None:
    for target in ("../x", "/etc", "a/../../x"):
        result = await unpack(here, tar((entry("a"), b"x")), path=target)
        assert result.problem is not None


async def test_a_good_archive_of_each_kind_is_unpacked_with_its_modes_links_and_names(here: Machine) -> None:
    def build(mode: str) -> bytes:
        return tar(
            entry("top", tarfile.DIRTYPE, mode=0o755),
            (entry("top/run", mode=0o755), b"#!/bin/sh\n"),
            (entry("top/" + "n" * 120 + "/" + "ü" * 90), b"long"),
            entry("top/link", LINK, "run"),
            entry("top/hard", tarfile.LNKTYPE, "top/run"),
            mode=mode,
        )

    for mode in ("w", "w:gz", "w:xz", "w:bz2"):
        result = await unpack(here, build(mode), strip=1)
        assert result.problem is None
        assert result.entries == 5
        output = await here.shell("cd src; stat -c '%a' run hard; readlink link; cat n*/*; ls | wc -l")
        assert output == "755\n755\nrun\nlong4\n"


async def test_a_wheel_is_unpacked(here: Machine) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("package/__init__.py", "VALUE = 7\n")
        archive.writestr("package-1.dist-info/METADATA", "Name: package\n")
    result = await unpack(here, file.getvalue(), path="lib")
    assert (result.entries, result.bytes, result.problem) == (2, 24, None)
    assert await here.shell("PYTHONPATH=lib python3 -c 'import package; print(package.VALUE)'") == "7\n"


async def test_a_tree_of_the_store_belongs_to_the_stores_user_and_is_there_only_if_complete(
    here: Machine,
) -> None:
    good, bad = tar((entry("a"), b"x")), tar((entry("a"), b"x"), (entry("../b"), b"x"))
    result = await unpack(here, good, tree=".new-good", path="")
    assert (result.problem, result.tree) == (None, ".new-good")
    made = here.store / "trees" / ".new-good"
    assert (made / "a").read_bytes() == b"x"
    assert (made / "a").stat().st_uid == here.settings.store.uid
    made.rename(here.store / "trees" / "final")
    result = await unpack(here, bad, tree=".new-bad", path="")
    assert result.problem is not None
    assert sorted(os.listdir(here.store / "trees")) == ["final"]
    await here.sandbox.remove_tree(".new-good")  # gone already: nothing to do


async def test_unpacking_that_takes_too_long_is_ended(here: Machine) -> None:
    result = await unpack(here, tar((entry("a"), bytes(30 * MIB)), mode="w:xz"), timeout_s=0.02)
    assert result.problem is not None
    assert "not done after 0.02 s" in result.problem


async def test_unpacking_into_a_full_disk_is_a_problem_of_the_task(here: Machine) -> None:
    result = await unpack(here, tar((entry("a"), bytes(10 * MIB))))
    assert result.problem is None
    here.scratches[0] = await here.sandbox.new_scratch(
        0, msgspec.structs.replace(SMALL_DISK, max_bytes=9 * MIB)
    )
    path = here.put("large", tar((entry("a"), bytes(30 * MIB))))
    result = await here.sandbox.unpack(UnpackRequest((path,), here.scratches[0], "src"))
    if here.kind == "root":
        assert result.problem is not None
        assert "No space left" in result.problem
    os.unlink(path)


async def test_attack_an_unpacked_link_is_no_artifact(here: Machine) -> None:
    result = await unpack(here, tar(entry("shadow", LINK, "/etc/shadow")))
    assert result.problem is None
    found = await here.sandbox.open_file(here.scratches[0], "src/shadow", max_bytes=100)
    assert isinstance(found, Rejected)
    assert found.problem == "symlink"


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


@pytest.mark.soak
async def test_soak_a_million_empty_files_stop_at_the_cap(here: Machine) -> None:
    archive = gzip.compress(tar(*(entry(str(number)) for number in range(1_000_000))))
    result = await unpack(here, archive, disk=DiskLimits(1 << 30, 500_000), max_entries=200_000)
    assert result.problem == "archive 1: more than 200000 entries"
