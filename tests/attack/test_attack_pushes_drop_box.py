"""Who can push can write into the drop box: nothing he leaves there ends or delays the finding of pushes, or is followed."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.settable_time import SettableClock
from liftlock.adapters.doorbells import drop_box
from liftlock.adapters.doorbells.drop_box import STALE, DropBox
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.system.clock import SystemClock
from liftlock.ports.doorbells import Ring
from push_world import PushWorld

BAD_UTF8 = b'{"project": "widget", "claims": [{"branch": "\xff\xfe", "revision": ""}]}'
FEW = 5
WIDGET = Ring(project="widget")


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock(SystemClock().now())


@pytest.fixture
def box(tmp_path: Path, clock: SettableClock, monkeypatch: pytest.MonkeyPatch) -> DropBox:
    monkeypatch.setattr(drop_box, "MAX_TAKEN", FEW)
    return DropBox.make(tmp_path / "rings", clock)


def ring(box: DropBox) -> None:
    (box.path / "good.ring").write_text(json.dumps({"project": "widget"}))


def left(box: DropBox) -> list[str]:
    return sorted(path.name for path in box.path.iterdir())


async def until_heard(box: DropBox) -> list[Ring]:
    """Return the first rings within as many turns as a box of our tests' size may need; [] if they are starved."""
    for _ in range(20):
        if rings := await box.take():
            return rings
    return []


async def test_a_ring_with_bytes_that_are_no_text_is_removed_and_its_neighbours_are_heard(
    box: DropBox,
) -> None:
    (box.path / "bad.ring").write_bytes(BAD_UTF8)
    ring(box)
    assert await box.take() == [WIDGET]
    assert left(box) == []


async def test_an_error_that_nobody_expected_leaves_no_ring_to_fail_at_again(
    box: DropBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(raw: bytes) -> None:
        raise ZeroDivisionError

    ring(box)
    with monkeypatch.context() as patched:
        patched.setattr(drop_box, "parse_left_ring", broken)
        with pytest.raises(ZeroDivisionError):
            await box.take()
    assert left(box) == []


async def test_projects_are_polled_whatever_the_drop_box_does(engine: Engine, tmp_path: Path) -> None:
    world = await PushWorld.make(engine, tmp_path)

    async def fails() -> list[Ring]:
        raise UnicodeDecodeError("utf-8", b"", 0, 1, "no text")

    world.doorbells.take = fails  # type: ignore[method-assign]
    await world.watch.step()
    await world.watch.settle()
    assert world.watch.last_look("widget").at is not None


async def test_folders_named_like_rings_starve_no_ring(box: DropBox) -> None:
    for number in range(3 * FEW):
        (box.path / f"{number}.ring").mkdir()
    ring(box)
    assert await until_heard(box) == [WIDGET]
    for _ in range(4):
        await box.take()
    assert left(box) == []


@pytest.mark.parametrize("prefix", ["", ".aside-", "\U0001f514" * 60], ids=["plain", "aside", "long"])
async def test_folders_that_cannot_be_removed_are_looked_at_once(
    box: DropBox, clock: SettableClock, prefix: str
) -> None:
    for number in range(3 * FEW):
        (box.path / f"{prefix}{number}.ring").mkdir()
        (box.path / f"{prefix}{number}.ring" / "filled").touch()
    ring(box)
    assert await until_heard(box) == [WIDGET]
    for _ in range(4):
        await box.take()
    aside = left(box)
    assert len(aside) == 3 * FEW
    assert not any(name.endswith(".ring") for name in aside)
    for folder in box.path.iterdir():
        (folder / "filled").unlink()
    clock.present += STALE + timedelta(minutes=1)
    for _ in range(4):
        await box.take()
    assert left(box) == []


@pytest.mark.parametrize("prefix", ["", ".aside-"])
async def test_other_names_starve_no_ring_and_do_not_stay_for_ever(
    box: DropBox, clock: SettableClock, prefix: str
) -> None:
    for number in range(3 * FEW):
        (box.path / f"{prefix}{number}.junk").touch()
    ring(box)
    assert await box.take() == [WIDGET]
    assert len(left(box)) == 3 * FEW
    clock.present += STALE + timedelta(minutes=1)
    for _ in range(4):
        await box.take()
    assert left(box) == []


async def test_a_future_or_past_time_given_to_a_file_changes_nothing(
    box: DropBox, clock: SettableClock
) -> None:
    (box.path / "old.new").touch()
    os.utime(box.path / "old.new", (1, 1))
    (box.path / "future.new").touch()
    os.utime(box.path / "future.new", (2**33, 2**33))
    await box.take()
    assert left(box) == ["future.new", "old.new"]
    clock.present += STALE + timedelta(minutes=1)
    await box.take()
    assert left(box) == []


async def test_no_link_is_followed_when_things_are_cleared_away(
    box: DropBox, clock: SettableClock, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "a.ring").write_text(json.dumps({"project": "precious"}))
    for name in ("folder.ring", "folder.junk"):
        (box.path / name).symlink_to(precious)
    (box.path / "file.ring").symlink_to(precious / "a.ring")
    clock.present += STALE + timedelta(minutes=1)
    assert await box.take() == []
    assert left(box) == []
    assert [path.name for path in precious.iterdir()] == ["a.ring"]
