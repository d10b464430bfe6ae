"""The drop box: whatever anybody puts into it, rings are read and everything is removed."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from liftlock.adapters.doorbells.drop_box import DropBox
from liftlock.adapters.system.clock import SystemClock
from liftlock.domain.pushes.push import Claim
from liftlock.ports.doorbells import Ring


@pytest.fixture
def box(tmp_path: Path) -> DropBox:
    return DropBox.make(tmp_path / "rings", SystemClock())


def put(box: DropBox, name: str, content: Any = None, *, at: int = 1) -> Path:
    path = box.path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content or {"project": "widget"}))
    os.utime(path, (at, at))
    return path


def test_everybody_may_write_and_only_the_owner_may_list(box: DropBox) -> None:
    assert box.path.stat().st_mode & 0o7777 == 0o1733


async def test_rings_are_taken_once_oldest_first(box: DropBox) -> None:
    claim = {"branch": "main", "revision": "a" * 40, "pusher": "sam"}
    put(box, "2.ring", {"project": "gadget"}, at=20)
    put(box, "1.ring", {"project": "widget", "claims": [claim]}, at=10)
    assert await box.take() == [
        Ring(project="widget", claims=(Claim(branch="main", revision="a" * 40, pusher="sam"),)),
        Ring(project="gadget"),
    ]
    assert await box.take() == []
    assert list(box.path.iterdir()) == []


async def test_a_ring_that_is_still_being_written_is_left_alone(box: DropBox) -> None:
    put(box, "1.new", "half")
    assert await box.take() == []
    assert [path.name for path in box.path.iterdir()] == ["1.new"]


async def test_a_box_that_is_gone_holds_nothing(box: DropBox) -> None:
    box.path.rmdir()
    assert await box.take() == []


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        '{"claims": []}',
        '{"project": 5}',
        '{"project": "w", "claims": [{}]}',
        "[" * 10_000,
        json.dumps({"project": "w", "claims": [{"branch": "b", "revision": "r", "pusher": "p"}] * 101}),
        json.dumps({"project": "w", "claims": [{"branch": "b" * 256, "revision": "r", "pusher": "p"}]}),
        "x" * 70_000,
    ],
)
async def test_what_is_no_ring_is_removed_and_disturbs_no_other(box: DropBox, content: str) -> None:
    put(box, "bad.ring", content)
    put(box, "good.ring")
    assert await box.take() == [Ring(project="widget")]
    assert list(box.path.iterdir()) == []


async def test_links_pipes_sockets_and_folders_are_neither_read_nor_waited_for(
    box: DropBox, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.ring"
    secret.write_text(json.dumps({"project": "secret"}))
    (box.path / "link.ring").symlink_to(secret)
    os.mkfifo(box.path / "pipe.ring")
    (box.path / "folder.ring").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(box.path / "s.ring"))
    assert await box.take() == []
    assert secret.exists()
    assert list(box.path.iterdir()) == []


async def test_no_ring_from_the_box_is_authenticated(box: DropBox) -> None:
    claim = {"branch": "main", "revision": "a", "pusher": "boss", "authenticated": True}
    put(box, "1.ring", {"project": "widget", "claims": [claim]})
    [ring] = await box.take()
    assert not ring.claims[0].authenticated
