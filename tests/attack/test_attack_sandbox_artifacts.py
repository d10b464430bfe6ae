"""Artifacts that are not what they seem: nothing but a regular file of the task, below its directory, is ever opened."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from liftlock.adapters.sandbox.beneath import list_beneath, open_beneath
from liftlock.ports.sandbox import OpenedFile, Rejected
from sandboxes import KINDS, Machine, machine

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
HOSTILE = (
    "import os, socket\n"
    "os.makedirs('out/sub'); open('out/good', 'w').write('good')\n"
    "os.symlink('/etc/shadow', 'out/shadow'); os.symlink('good', 'out/alias'); os.symlink('/', 'out/rootdir')\n"
    "os.symlink('../..', 'out/sub/up'); os.symlink('/proc/self/root/etc/passwd', 'out/magic')\n"
    "os.symlink('out', 'linked'); os.symlink('loop', 'loop'); os.mkfifo('out/fifo')\n"
    "socket.socket(socket.AF_UNIX).bind('out/socket')\n"
    "open(b'out/\\xff\\xfe', 'w').close(); open('out/line\\nbreak', 'w').close()\n"
    "open('out/closed', 'w').write('c'); os.chmod('out/closed', 0)"
)


@pytest_asyncio.fixture(params=KINDS, scope="module", loop_scope="module")
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    async with machine(request.param) as made:
        await made.scratch(0)
        await made.python(HOSTILE)
        (made.directory / "liftlock.env").write_text("secret")
        yield made


@pytest.mark.parametrize(
    ("path", "problem", "words"),
    [
        ("out/shadow", "symlink", "symbolic link"),
        ("out/alias", "symlink", "symbolic link"),
        ("out/rootdir/etc/shadow", "symlink", "symbolic link"),
        ("out/sub/up/out/good", "symlink", "symbolic link"),
        ("out/magic", "symlink", "symbolic link"),
        ("linked/good", "symlink", "symbolic link"),
        ("loop", "symlink", "symbolic link"),
        ("out/fifo", "not-a-file", "fifo"),
        ("out/socket", "not-a-file", "not a regular file"),
        ("out", "not-a-file", "directory"),
        (".", "not-a-file", "directory"),
        ("out/good/below", "not-a-file", "no directory"),
        ("out/absent", "absent", "no such file"),
        ("../liftlock.env", "outside", r"'\.\.' leads out"),
        ("out/../../../etc/shadow", "outside", r"'\.\.' leads out"),
        ("/etc/passwd", "bad-path", "relative to /build"),
        ("/build/out/good", "bad-path", "relative to /build"),
        ("", "bad-path", "relative to /build"),
        ("out//good", "bad-path", "single slashes"),
        ("out/./good", "bad-path", "single slashes"),
        ("out/good\0", "bad-path", "relative to /build"),
        ("x" * 5000, "bad-path", "relative to /build"),
        ("x" * 300, "absent", "too long"),
    ],
)
async def test_attack_a_path_that_is_no_file_of_the_task_is_rejected(
    here: Machine, path: str, problem: str, words: str
) -> None:
    found = await here.sandbox.open_file(here.scratches[0], path, max_bytes=1 << 20)
    assert isinstance(found, Rejected), found
    assert found.problem == problem
    assert re.search(words, found.message)


async def test_attack_a_file_larger_than_its_cap_is_rejected_by_its_size(here: Machine) -> None:
    found = await here.sandbox.open_file(here.scratches[0], "out/good", max_bytes=3)
    assert found == Rejected("too-large", "'out/good': 4 bytes; at most 3 are allowed")


async def test_attack_a_listing_holds_regular_files_with_proper_names_only(here: Machine) -> None:
    found = await here.sandbox.list_files(here.scratches[0], "out", max_entries=100)
    assert isinstance(found, tuple)
    assert [file.path for file in found] == ["out/closed", "out/good", "out/line\nbreak"]


async def test_attack_a_listing_does_not_start_at_or_go_through_a_link(here: Machine) -> None:
    for path in ("linked", "out/rootdir", "out/sub/up", "../..", "/"):
        found = await here.sandbox.list_files(here.scratches[0], path, max_entries=100)
        assert isinstance(found, Rejected), path


async def test_attack_a_listing_of_too_many_entries_is_rejected(here: Machine) -> None:
    found = await here.sandbox.list_files(here.scratches[0], "out", max_entries=5)
    assert found == Rejected("too-many", "'out': more than 5 entries")


async def test_attack_a_bottomless_directory_is_not_followed_for_ever(here: Machine) -> None:
    await here.python("import os\nfor _ in range(300): os.mkdir('d'); os.chdir('d')")
    found = await here.sandbox.list_files(here.scratches[0], "d", max_entries=10_000)
    assert isinstance(found, Rejected)
    assert found.problem == "too-many"


async def test_attack_a_file_that_its_owner_closed_is_opened_only_with_rights(here: Machine) -> None:
    found = await here.sandbox.open_file(here.scratches[0], "out/closed", max_bytes=10)
    if here.kind == "root":
        assert isinstance(found, OpenedFile)
        os.close(found.fd)
    else:
        assert isinstance(found, Rejected)


async def test_attack_a_hard_link_to_a_file_of_another_user_is_not_the_tasks_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    directory = os.open(tmp_path, os.O_PATH)
    found = open_beneath(directory, "file", owner=os.geteuid() + 1, max_bytes=10)
    os.close(directory)
    assert found == Rejected("outside", "'file': the file is not the task's own")


async def test_attack_another_file_system_below_the_scratch_is_not_entered() -> None:
    directory = os.open("/", os.O_PATH)
    found = open_beneath(directory, "proc/version", owner=0, max_bytes=1 << 20)
    os.close(directory)
    assert isinstance(found, Rejected)
    assert found.problem == "outside"


async def test_attack_a_racing_rename_never_leads_out(tmp_path: Path) -> None:
    """Should something live on in spite of all: file and link swap places while they are opened."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    work = tmp_path / "work"
    (work / "real").mkdir(parents=True)
    (work / "real" / "file").write_text("good")
    (work / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_text("secret")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(work / "real", work / "spare")
            os.rename(work / "link", work / "real")
            os.rename(work / "real", work / "link")
            os.rename(work / "spare", work / "real")

    thread = threading.Thread(target=swap)
    thread.start()
    directory = os.open(work, os.O_PATH)
    seen = set()
    try:
        for _ in range(3000):
            opened = open_beneath(directory, "real/file", owner=os.geteuid(), max_bytes=100)
            if isinstance(opened, int):
                with os.fdopen(opened) as file:
                    seen.add(file.read())
            listed = list_beneath(directory, "real", max_entries=100)
            assert isinstance(listed, Rejected) or {file.path for file in listed} <= {"real/file"}
    finally:
        stop.set()
        thread.join()
        os.close(directory)
    assert seen <= {"good"}
