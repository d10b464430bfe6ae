"""Which cgroups may be used and what is written into them, on directories that look like the kernel's.

What the kernel then does is tested on the hierarchies of the machine itself, in `tests/attack`.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from liftlock.adapters.sandbox import cgroups
from liftlock.adapters.sandbox.cgroups import (
    Cgroup,
    CgroupHost,
    Hierarchy,
    delegate,
    delegated_base,
    find_host,
    kill_all,
    write_limits,
)
from liftlock.adapters.sandbox.isolation import isolation_level
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import MIB, Limits, Usage

LIMITS = Limits(memory_bytes=64 * MIB, pids=17, cpu=1.5)


def directory(path: Path, **content: str) -> str:
    """A cgroup's directory with the files that `content` names (`_` for a dot)."""
    path.mkdir(parents=True, exist_ok=True)
    for name, text in ({"cgroup_procs": ""} | content).items():
        (path / name.replace("_", ".", 1)).write_text(text)
    return str(path)


def test_version_two_writes_the_four_limits(tmp_path: Path) -> None:
    path = directory(
        tmp_path, memory_max="max", memory_oom_group="0", memory_swap_max="max", pids_max="max", cpu_max="max"
    )
    (tmp_path / "memory.oom.group").write_text("1")
    (tmp_path / "memory.swap.max").write_text("max")
    for controller in ("memory", "pids", "cpu", "unified"):
        write_limits(controller, "cgroup-v2", path, LIMITS)
    written = {name: (tmp_path / name).read_text()[:12] for name in ("memory.max", "pids.max", "cpu.max")}
    assert written["memory.max"] == str(64 * MIB)
    assert written["pids.max"].startswith("17")
    assert written["cpu.max"] == "150000 10000"
    assert (tmp_path / "memory.swap.max").read_text().startswith("0"), (
        "what is swapped out is not bounded else"
    )
    assert (tmp_path / "memory.oom.group").read_text() == "0"


def test_version_one_bounds_memory_and_swap_together_where_swap_is_counted(tmp_path: Path) -> None:
    names = (
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "pids.max",
        "cpu.cfs_period_us",
        "cpu.cfs_quota_us",
    )
    directory(tmp_path)
    for name in names:
        (tmp_path / name).write_text("")
    for controller in ("memory", "pids", "cpu", "freezer", "cpuacct"):
        write_limits(controller, "cgroup-v1", str(tmp_path), LIMITS)
    assert [(tmp_path / name).read_text() for name in names] == [
        str(64 * MIB),
        str(64 * MIB),
        "17",
        "100000",
        "150000",
    ]


def test_a_limit_that_can_not_be_written_fails_the_creation_and_leaves_nothing(tmp_path: Path) -> None:
    host = CgroupHost({"memory": ("cgroup-v1", str(tmp_path))}, "x")
    with pytest.raises(SandboxFailedError, match=r"memory\.limit_in_bytes"):
        host.create("s0-1", LIMITS)
    assert os.listdir(tmp_path / "liftlock-x") == []


def test_the_nearest_directory_that_hands_on_limits_is_used(tmp_path: Path) -> None:
    top = directory(tmp_path, cgroup_subtree_control="memory pids cpu")
    middle = directory(tmp_path / "user.slice", cgroup_subtree_control="memory pids")
    own = directory(tmp_path / "user.slice" / "own.scope", cgroup_subtree_control="")
    assert delegated_base(Hierarchy("cgroup-v2", top, own, ("unified",))) == middle
    directory(tmp_path / "user.slice", cgroup_subtree_control="cpu")
    assert delegated_base(Hierarchy("cgroup-v2", top, own, ("unified",))) == top


def test_without_limits_to_hand_on_our_own_directory_serves_to_end_trees_by(tmp_path: Path) -> None:
    own = directory(tmp_path / "own", cgroup_subtree_control="")
    directory(tmp_path, cgroup_subtree_control="hugetlb")
    assert delegated_base(Hierarchy("cgroup-v2", str(tmp_path), own, ("unified",))) == own


def test_where_nothing_can_be_made_there_are_no_limits_and_the_level_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Hierarchy("cgroup-v1", str(tmp_path), str(tmp_path / "absent" / "\0"[:0] / "x"), ("memory",))
    file = tmp_path / "absent"
    file.write_text("no directory can be made below a file")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (absent,))
    level = isolation_level(find_host("x"), separate=False, own_filesystems=False)
    assert (level.memory, level.pids, level.cpu, level.disk) == ("rlimit", "rlimit", "none", "watched")
    assert len(level.missing) == 4
    assert level.why_not_untrusted() == (
        "no cgroup limit on memory: one task can starve the machine",
        "no cgroup limit on pids: one task can starve the machine",
    )


def kernel_rule(path: str, text: str) -> None:
    """A v2 cgroup with processes of its own hands nothing on; a process is in one cgroup."""
    file = Path(path)
    procs = file.parent / "cgroup.procs"
    if file.name == "cgroup.subtree_control" and procs.read_text().split():
        raise OSError(errno.EBUSY, "busy", path)
    if file.name == "cgroup.procs":
        for other in file.parent.parent.rglob("cgroup.procs"):
            other.write_text("".join(f"{pid}\n" for pid in other.read_text().split() if pid != text))
        text = file.read_text() + text + "\n"
    file.write_text(text.replace("+", ""))


@pytest.mark.parametrize("inside", ["", "/liftlock-main"])
def test_delegating_moves_the_processes_of_our_cgroup_and_then_hands_on_the_controllers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    """Also if another launcher has moved us meanwhile."""
    own = tmp_path / "own.scope"
    directory(
        own, cgroup_controllers="cpu memory pids io", cgroup_subtree_control="", cgroup_procs="12\n34\n"
    )
    directory(own / "liftlock-main")
    directory(tmp_path, cgroup_subtree_control="")
    place = Hierarchy("cgroup-v2", str(tmp_path), str(own) + inside, ("unified",))
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (place,))
    monkeypatch.setattr(cgroups, "_write", kernel_rule)
    delegate()
    assert (own / "liftlock-main" / "cgroup.procs").read_text() == "12\n34\n"
    assert (own / "cgroup.subtree_control").read_text() == "memory pids cpu"
    assert delegated_base(place) == str(own)


def test_delegating_leaves_alone_what_an_ancestor_hands_on_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "session.scope"
    directory(own, cgroup_controllers="memory pids", cgroup_subtree_control="", cgroup_procs="12\n")
    directory(tmp_path, cgroup_subtree_control="memory pids")
    monkeypatch.setattr(
        cgroups, "hierarchies", lambda: (Hierarchy("cgroup-v2", str(tmp_path), str(own), ("unified",)),)
    )
    delegate()
    assert not (own / "liftlock-main").exists()


def test_usage_and_events_are_read_from_either_version(tmp_path: Path) -> None:
    two = directory(
        tmp_path / "2",
        memory_peak="4096",
        memory_events="low 0\noom 1\noom_kill 1\n",
        pids_events="max 3\n",
        cpu_stat="usage_usec 2500000\n",
    )
    cgroup = Cgroup(dict.fromkeys(("memory", "pids", "unified"), ("cgroup-v2", two)))
    assert cgroup.usage() == Usage(cpu_s=2.5, memory_peak_bytes=4096)
    assert cgroup.out_of_memory()
    assert cgroup.out_of_pids()
    one = directory(
        tmp_path / "1",
        memory_max_usage_in_bytes="8192",
        memory_oom_control="under_oom 0\noom_kill 0\n",
        cpuacct_usage="1000000000",
        pids_events="max 0\n",
    )
    cgroup = Cgroup(dict.fromkeys(("memory", "pids", "cpuacct"), ("cgroup-v1", one)))
    assert cgroup.usage() == Usage(cpu_s=1.0, memory_peak_bytes=8192)
    assert not cgroup.out_of_memory()
    assert not cgroup.out_of_pids()


def test_killing_ends_the_processes_that_a_cgroup_names_and_says_if_one_does_not_die(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        directory(tmp_path, cgroup_procs=f"{process.pid}\n")
        with pytest.raises(
            SandboxFailedError, match=f"processes \\[{process.pid}\\] of a sandbox do not die"
        ):
            kill_all([str(tmp_path)], within_s=0.1)  # this file goes on naming it
        assert process.wait() == -9


def test_our_place_in_a_mount_that_shows_a_part_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container sees its own part of the hierarchy at the top of the mount."""
    files = {
        "/proc/self/cgroup": ["4:memory:/docker/abc/child", "0::/docker/abc"],
        "/proc/self/mountinfo": [
            "30 24 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            "31 24 0:27 /docker/abc /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw",
            "32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
        ],
    }
    monkeypatch.setattr(cgroups, "_lines", lambda path: files[path])
    assert cgroups.hierarchies() == (
        Hierarchy("cgroup-v1", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/child", ("memory",)),
        Hierarchy("cgroup-v2", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified", ("unified",)),
    )
