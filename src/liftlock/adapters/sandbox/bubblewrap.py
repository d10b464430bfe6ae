"""The command line of bubblewrap for one sandbox: what is visible inside, and nothing else.

Mount points can't be made once `/` is read-only, so the order is: top-level entries, `/etc`, `/proc`, `/dev`,
temporary file systems, scratch, inputs, then `/` is closed. Arguments travel by descriptor: `/proc/1/cmdline` inside
shows only the task's own command.

Source: docs/explanation/sandbox.md
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from liftlock.ports.sandbox import Bind, DataFile

OWN = ".root"
"""What of a scratch holds the directories that are the task's own."""
TASK_UID = 1000
RUN_BYTES = 16 << 20
_SKIPPED = frozenset(("proc", "dev", "sys", "tmp", "run", "build", "inputs", "etc"))
# Of the host's /etc only what is public and needed to run its /usr: where libraries are, which program an
# alternative means (links into /usr), the public root certificates. No names, keys, addresses or settings.
_HOST_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "ssl/openssl.cnf")
GENERATED_ETC = {
    "passwd": f"root:x:0:0:root:/:/usr/sbin/nologin\ntask:x:{TASK_UID}:{TASK_UID}:task:/build:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "group": f"root:x:0:\ntask:x:{TASK_UID}:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 task\n",
    "hostname": "task\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nnetworks: files\nprotocols: files\nservices: files\n",
}


class Data(Protocol):
    """Turns content into a descriptor that the launched program inherits."""

    def __call__(self, content: bytes) -> int:
        """Return the number under which the program reads `content`."""
        ...


@dataclass(slots=True)
class Plan:
    """What one sandbox holds; all paths are as the launcher sees them and were checked by it."""

    scratch: str
    argv: tuple[str, ...]
    cwd: str
    binds: tuple[Bind, ...]
    files: tuple[DataFile, ...]
    root: str | None
    tmp_bytes: int
    caches: tuple[Bind, ...] = ()
    """Writable; the sources are open caches."""
    own: tuple[Bind, ...] = ()
    """Writable; the sources are directories of the scratch, the destinations at the top of the root."""


def arguments(
    plan: Plan, data: Data, *, seccomp: int, status: int, block: int, terminal: bool = False
) -> list[str]:
    """Return bubblewrap's options, for `--args`; the command follows on its real command line.

    Args:
        terminal: The session's terminal is the sandbox's own, so the command stays in the session: job control needs it.
    """
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--assert-userns-disabled"]
    options += ["--uid", str(TASK_UID), "--gid", str(TASK_UID), "--hostname", "task"]
    options += ["--die-with-parent", *([] if terminal else ["--new-session"]), "--cap-drop", "ALL"]
    own = [bind.destination[1:] for bind in plan.own]
    options += _system(plan.root, data, own)
    options += ["--proc", "/proc", "--dev", "/dev"]
    options += ["--perms", "1777", "--size", str(plan.tmp_bytes), "--tmpfs", "/dev/shm"]  # noqa: S108 - inside
    options += ["--remount-ro", "/dev"]
    if "tmp" not in own:
        options += ["--perms", "1777", "--size", str(plan.tmp_bytes), "--tmpfs", "/tmp"]  # noqa: S108 - inside
    options += ["--perms", "0755", "--size", str(RUN_BYTES), "--tmpfs", "/run"]
    options += ["--bind", plan.scratch, "/build", "--perms", "0755", "--dir", "/inputs"]
    if plan.own:  # seen at their own places only: what holds them can't be renamed or replaced from inside
        hidden = f"/build/{OWN}"
        options += ["--perms", "0555", "--size", "4096", "--tmpfs", hidden, "--remount-ro", hidden]
    for bind in plan.own:
        options += ["--bind", bind.source, bind.destination]
    for bind in sorted(plan.binds, key=lambda bind: bind.destination):
        if bind.destination != bind.source or not _in_usr(bind.destination):
            options += ["--ro-bind", bind.source, bind.destination]
    for cache in sorted(plan.caches, key=lambda bind: bind.destination):
        options += ["--bind", cache.source, cache.destination]
    for file in plan.files:
        options += ["--perms", "0444", "--ro-bind-data", str(data(file.content)), file.destination]
    options += ["--remount-ro", "/", "--chdir", plan.cwd]
    return [*options, "--seccomp", str(seccomp), "--json-status-fd", str(status), "--block-fd", str(block)]


def environment(env: dict[str, str]) -> list[str]:
    """Return the options that give the command its environment.

    Bubblewrap itself is started with none: on the host's side the task's variables would reach the dynamic loader
    (`LD_PRELOAD` and its like), and inside they would stand in `/proc/1/environ`.
    """
    return [option for name, value in env.items() for option in ("--setenv", name, value)]


def _in_usr(path: str) -> bool:
    """Tell whether `path` is in the host's `/usr`, which is there anyway."""
    return path == "/usr" or path.startswith("/usr/")


def _system(root: str | None, data: Data, own: list[str]) -> list[str]:
    """Return the options for `/usr` and its links, and for `/etc`; what is in `own` is left out."""
    base = "" if root is None else root
    names = (
        ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"]
        if root is None
        else sorted(os.listdir(root))
    )
    options: list[str] = []
    for name in names:
        path = f"{base}/{name}"
        if name in _SKIPPED or name in own or not os.path.lexists(path):
            continue
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), f"/{name}"]
        else:
            options += ["--ro-bind", path, f"/{name}"]
    options += ["--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl"]
    for name in _etc_names(root):
        path = f"{base}/etc/{name}"
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), f"/etc/{name}"]
        elif os.path.exists(path):
            options += ["--ro-bind", path, f"/etc/{name}"]
    for name, text in GENERATED_ETC.items():
        options += ["--perms", "0444", "--file", str(data(text.encode())), f"/etc/{name}"]
    return options


def _etc_names(root: str | None) -> list[str]:
    """Return which entries of `/etc` are shown as they are: an image's own, or of the host's what is public."""
    if root is None:
        return list(_HOST_ETC)
    etc = f"{root}/etc"
    names = sorted(os.listdir(etc)) if os.path.isdir(etc) and not os.path.islink(etc) else []
    return [name for name in names if name not in GENERATED_ETC]
