"""What a launcher is told once, by the process that starts it, before anything hostile is near."""

from __future__ import annotations

import msgspec


class Person(msgspec.Struct, frozen=True):
    """A user and its group, by number."""

    uid: int
    gid: int


class LauncherSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One launcher's world.

    `identity`: letters, digits and dashes, the same at every start of one worker on one state directory and of no
    other: leftovers are found by it. `scratch_dir`: made if absent, the launcher's alone (as root: in a directory of
    root's). `store_dir`: the worker's blobs and trees, of which parts are shown read-only. `readable`: further
    directories of which parts may be shown read-only, such as an interpreter that the pool's settings name.
    `slots`: the user of each slot. `store`: who unpacks into the store's trees. `worker`: who owns the store.
    """

    identity: str
    scratch_dir: str
    store_dir: str
    slots: tuple[Person, ...]
    store: Person
    worker: Person
    readable: tuple[str, ...] = ()
    separate: bool = False
