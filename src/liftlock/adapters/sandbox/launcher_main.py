"""The launcher's process: settle what is ours, clear what was left, try a sandbox, then serve.

Started by `spawn.spawn_launcher` as `python -I -m liftlock.adapters.sandbox.launcher_main CHANNEL SETTINGS`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from functools import partial

import msgspec

from liftlock.adapters.sandbox import protocol as p
from liftlock.adapters.sandbox.caches import Caches
from liftlock.adapters.sandbox.cgroups import delegate, find_host
from liftlock.adapters.sandbox.chores import start_chore
from liftlock.adapters.sandbox.disk import Disk, Place, clear
from liftlock.adapters.sandbox.isolation import isolation_level
from liftlock.adapters.sandbox.launcher import Launcher
from liftlock.adapters.sandbox.leftovers import hold, reap, remove_scratches
from liftlock.adapters.sandbox.settings import LauncherSettings
from liftlock.adapters.sandbox.syscalls import keep_capabilities, set_dumpable, set_no_new_privileges
from liftlock.adapters.sandbox.trial import check_seccomp, find_bubblewrap, try_sandbox
from liftlock.adapters.sandbox.users import User
from liftlock.adapters.sandbox.view import TREES, View, open_view
from liftlock.errors import IsolationUnavailableError, LiftlockError, SandboxFailedError

# chown, dac_override, dac_read_search, fowner, kill, setgid, setuid; sys_admin to mount scratches.
_KEPT = (0, 1, 2, 3, 5, 6, 7, 21)


def main() -> None:
    """Serve the worker on the other end of descriptor `argv[1]`, by the settings in `argv[2]`."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    os.umask(0o022)  # what is made here is for slots to pass through
    settings = msgspec.json.decode(sys.argv[2], type=LauncherSettings)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when its worker does
    try:
        launcher, hello = _prepare(channel, settings)
    except (LiftlockError, OSError) as error:
        message = (
            error.message if isinstance(error, LiftlockError) else f"the launcher could not start: {error}"
        )
        unavailable = isinstance(error, IsolationUnavailableError)
        p.send(channel, p.ReplyPacket(0, p.Failed(message, unavailable)))
        sys.exit(1)
    p.send(channel, p.ReplyPacket(0, hello))
    launcher.serve()


def _prepare(channel: socket.socket, settings: LauncherSettings) -> tuple[Launcher, p.Hello]:
    set_dumpable(dumpable=False)
    set_no_new_privileges()
    _check_users(settings)
    program = find_bubblewrap()
    check_seccomp()
    view = open_view(settings)
    hold(view.scratches)  # until this process ends
    if os.geteuid() == 0:
        keep_capabilities(_KEPT)
    delegate()
    host = find_host(settings.identity)
    slots = tuple(User(person.uid, person.gid) for person in settings.slots)
    store = User(settings.store.uid, settings.store.gid)
    reap(host, view.scratches, (slot.uid for slot in slots) if settings.separate else ())
    bare = Disk(view.scratches, view.mounts, own_filesystems=False)
    remove_scratches(bare, _clear_as_owner)
    _remove_unfinished_trees(view)
    disk = Disk(view.scratches, view.mounts, own_filesystems=view.private and bare.works())
    for slot in dict.fromkeys(slots):
        try_sandbox(program, disk, slot, host)
    caches = Caches(_cache_disk(view, own_filesystems=disk.own_filesystems), _clear_as_owner)
    caches.settle(slots)
    launcher = Launcher(
        channel,
        program=program,
        view=view,
        host=host,
        disk=disk,
        slots=slots,
        store=store,
        caches=caches,
    )
    level = isolation_level(host, separate=settings.separate, own_filesystems=disk.own_filesystems)
    return launcher, p.Hello(level, tuple(range(len(slots))))


def _cache_disk(view: View, *, own_filesystems: bool) -> Disk:
    return Disk(f"{view.scratches}/caches", f"{view.mounts}-caches", own_filesystems=own_filesystems)


def _check_users(settings: LauncherSettings) -> None:
    """Refuse to serve if a sandbox would run as root, or as someone that this process can't become."""
    people = (*settings.slots, settings.store)
    if any(person.uid == 0 or person.gid == 0 for person in people):
        raise SandboxFailedError("a slot's user is root; a sandbox is never started as root")
    if os.geteuid() == 0 and not settings.separate:
        raise SandboxFailedError("as root every slot needs a user of its own")
    if settings.separate and len({person.uid for person in people}) != len(people):
        raise SandboxFailedError("two slots, or a slot and the store, share one user")
    if os.geteuid() != 0 and any(person.uid != os.geteuid() for person in people):
        raise SandboxFailedError("only root can start sandboxes as other users")


def _clear_as_owner(place: Place) -> None:
    facts = os.stat(place.path, follow_symlinks=False)
    if facts.st_uid == 0:
        return  # made, and never given to a slot: it is empty
    if start_chore(partial(clear, place.path), User(facts.st_uid, facts.st_gid)).finish() is None:
        raise SandboxFailedError(f"{place.path} of an earlier launcher cannot be removed")


def _remove_unfinished_trees(view: View) -> None:
    trees = f"{view.store.path}/{TREES}"
    for entry in list(os.scandir(trees)):
        if entry.name.startswith(".new-") and entry.is_dir(follow_symlinks=False):
            _clear_as_owner(Place(entry.path, None, 0, 0))
            os.rmdir(entry.path)


if __name__ == "__main__":
    main()
