"""The launcher: the one process that keeps the rights to make sandboxes, and the worker's only way to them.

It has no network, parses nothing but typed packets of its own worker, runs no code of a task, and ends with the worker:
then every sandbox is dead and every scratch removed. It runs by `python -m liftlock.adapters.sandbox.launcher_main`.

Source: docs/explanation/sandbox.md
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from liftlock.adapters.sandbox import protocol as p
from liftlock.adapters.sandbox.admission import check_tree, plan
from liftlock.adapters.sandbox.beneath import list_beneath, open_beneath
from liftlock.adapters.sandbox.caches import Caches, Held, Wanted
from liftlock.adapters.sandbox.cgroups import DEAD_WITHIN_S, CgroupHost
from liftlock.adapters.sandbox.chores import Chore, start_chore
from liftlock.adapters.sandbox.disk import Disk, clear, is_full, measure, used_bytes
from liftlock.adapters.sandbox.launch import Launch, launch
from liftlock.adapters.sandbox.leftovers import record
from liftlock.adapters.sandbox.slot import Running, Slot
from liftlock.adapters.sandbox.users import User
from liftlock.adapters.sandbox.view import TREES, View
from liftlock.errors import (
    IsolationUnavailableError,
    LiftlockError,
    MalformedPayloadError,
    SandboxFailedError,
)
from liftlock.ports.sandbox import ExitStatus, FoundFile, Rejected, Usage
from liftlock.values.packets import unpack_as

LOOK_EVERY_S = 1.0


class Launcher:
    """Serves one worker over `channel` until it is gone."""

    def __init__(
        self,
        channel: socket.socket,
        *,
        program: str,
        view: View,
        host: CgroupHost,
        disk: Disk,
        slots: tuple[User, ...],
        store: User,
        caches: Caches,
    ) -> None:
        self._channel = channel
        self._program = program
        self._view = view
        self._host = host
        self._disk = disk
        self._slots = tuple(Slot(number, user) for number, user in enumerate(slots))
        self._store = store
        self._caches = caches
        self._running: dict[int, Running] = {}
        self._chores: dict[int, tuple[Chore, Callable[[bytes | None], None]]] = {}

    def serve(self) -> None:
        """Answer requests; return when the worker is gone and nothing of its sandboxes is left."""
        try:
            while self._turn():
                pass
        finally:
            self._end_all()

    def _turn(self) -> bool:
        """Wait for something to happen and see to it; False: the worker is gone."""
        poll = select.poll()
        for descriptor in (self._channel.fileno(), *self._chores):
            poll.register(descriptor, select.POLLIN)
        by_watch = {running.launched.watch: running for running in self._running.values()}
        for watch in by_watch:
            poll.register(watch, select.POLLIN)
        looking = self._running and not self._disk.own_filesystems
        ready = [descriptor for descriptor, _ in poll.poll(LOOK_EVERY_S * 1000 if looking else None)]
        for descriptor in ready:
            if descriptor in by_watch:
                self._finish(by_watch[descriptor])
            elif descriptor in self._chores:
                chore, then = self._chores.pop(descriptor)
                then(chore.finish())
        if looking:
            self._look()
        return self._channel.fileno() not in ready or self._answer()

    def _answer(self) -> bool:
        """Take one request and answer it, now or when its chore is done; False: the worker is gone."""
        try:
            received = p.receive_request(self._channel)
        except SandboxFailedError as error:  # it has no number that could be answered; nothing else suffers
            self._reply(0, p.Failed(error.message))
            return True
        if received is None:
            return False
        packet, descriptors = received
        try:
            self._dispatch(packet.number, packet.body, descriptors)
        except LiftlockError as error:
            unavailable = isinstance(error, IsolationUnavailableError)
            self._reply(packet.number, p.Failed(error.message, unavailable))
        finally:
            p.close_all(descriptors)
        return True

    def _dispatch(self, number: int, request: p.Request, descriptors: list[int]) -> None:
        match request:
            case p.NewScratch():
                slot = self._slot(request.slot)
                self._clear(slot, lambda problem: self._make(number, slot, request, problem))
            case p.Start():
                self._start(number, request, descriptors)
            case p.Kill():
                running = self._running.get(request.sandbox)
                if running is not None:
                    self._kill(running, request.reason)
                self._reply(number, p.Done())
            case p.OpenFile():
                self._open(number, request)
            case p.ListFiles():
                self._list(number, request)
            case p.RemoveScratch():
                self._clear(self._slot(request.slot), lambda problem: self._done(number, problem))
            case p.RemoveTree() | p.OpenCache() | p.DropCache():
                self._keep(number, request)

    def _keep(self, number: int, request: p.RemoveTree | p.OpenCache | p.DropCache) -> None:
        """See to what outlives a run."""
        match request:
            case p.RemoveTree():
                self._remove_tree(number, check_tree(request.tree))
            case p.OpenCache():
                self._open_cache(number, request)
            case p.DropCache():
                slot = self._slot(request.slot)
                slot.idle(request.scratch)
                if request.key in slot.caches:
                    slot.caches[request.key].dropped = True
                self._reply(number, p.Done())

    def _slot(self, number: int) -> Slot:
        if not 0 <= number < len(self._slots):
            raise SandboxFailedError(f"there is no slot {number}; there are {len(self._slots)}")
        slot = self._slots[number]
        if slot.broken is not None:
            raise SandboxFailedError(f"slot {number} is out of use: {slot.broken}")
        return slot

    # Scratches

    def _clear(self, slot: Slot, then: Callable[[str | None], None]) -> None:
        """End what runs in the slot and remove its scratch; then call `then` with a problem or None."""
        if slot.running is not None:
            self._kill(slot.running, "the slot is cleared")
            self._finish(slot.running)
        place = slot.place
        if place is None:
            then(None)
            return
        held, slot.caches = slot.caches, {}
        if held:
            self._close_caches(slot, tuple(held.values()), lambda: self._clear(slot, then))
            return
        slot.place, slot.name = None, None

        def remove(_: bytes | None = None) -> None:
            problem = None
            try:
                self._disk.remove(place)
            except OSError as error:
                slot.broken = problem = f"its scratch cannot be removed: {error}"
            then(problem)

        if place.image is not None:
            remove()
        else:
            self._chore(partial(clear, place.path), slot.user, remove)

    def _make(self, number: int, slot: Slot, request: p.NewScratch, problem: str | None) -> None:
        if problem is not None:
            self._reply(number, p.Failed(problem))
            return
        name = f"s{slot.number}-{os.urandom(6).hex()}"  # noqa: TID251 - no secret: it only has to be new
        try:
            place = self._disk.make(
                name,
                uid=slot.user.uid,
                gid=slot.user.gid,
                max_bytes=request.max_bytes,
                max_entries=request.max_entries,
            )
        except SandboxFailedError as error:
            self._reply(number, p.Failed(error.message))
            return
        slot.place, slot.name = place, name
        self._reply(number, p.Made(name, place.granted))

    def _open_cache(self, number: int, request: p.OpenCache) -> None:
        slot = self._slot(request.slot)
        slot.idle(request.scratch)
        if request.key in slot.caches:
            raise SandboxFailedError(f"the cache {request.key[:80]!r} is open already")
        wanted = Wanted(
            request.key,
            request.now_ms,
            request.not_before_ms,
            request.max_bytes,
            request.max_entries,
            request.store_bytes,
        )
        held, fresh = self._caches.open(slot.number, slot.user, wanted)
        slot.caches[request.key] = held
        self._reply(number, p.CacheOpened(held.made_ms, fresh))

    def _close_caches(self, slot: Slot, held: tuple[Held, ...], then: Callable[[], None]) -> None:
        """Close what a run had open, beside other slots' work: a file system is written out first."""

        def work() -> bytes:
            for one in held:
                self._caches.release(one)
            return b"closed"

        def closed(result: bytes | None) -> None:
            if result is None:
                slot.broken = "a cache of it cannot be closed"
            then()

        self._chore(work, None, closed)

    def _open(self, number: int, request: p.OpenFile) -> None:
        slot = self._slot(request.slot)
        place = slot.idle(request.scratch)
        directory = os.open(place.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = open_beneath(directory, request.path, owner=slot.user.uid, max_bytes=request.max_bytes)
        finally:
            os.close(directory)
        if isinstance(found, Rejected):
            self._reply(number, p.Refused(found))
            return
        try:
            self._reply(number, p.Opened(os.fstat(found).st_size), (found,))
        finally:
            os.close(found)

    def _list(self, number: int, request: p.ListFiles) -> None:
        path = self._slot(request.slot).idle(request.scratch).path

        def work() -> bytes:
            directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            return msgspec.msgpack.encode(
                list_beneath(directory, request.path, max_entries=request.max_entries)
            )

        def listed(result: bytes | None) -> None:
            found = _unpacked(result, Rejected | tuple[FoundFile, ...])
            if found is None:
                self._reply(number, p.Failed(f"{request.path[:256]!r} could not be listed"))
                return
            self._reply(number, p.Refused(found) if isinstance(found, Rejected) else p.Listed(found))

        self._chore(work, None, listed)

    # Sandboxes

    def _start(self, number: int, request: p.Start, descriptors: list[int]) -> None:
        slot = self._slot(request.slot)
        place = slot.idle(request.scratch)
        if len(descriptors) != 1 or request.sandbox in self._running:
            raise SandboxFailedError("a start brings the log and a new number")
        user, directory = slot.user, place.path
        if request.tree is not None:
            user, directory = self._store, self._new_tree(check_tree(request.tree))
        checked = plan(request, self._view, directory, slot.caches)
        name = f"s{slot.number}-{request.sandbox}"
        cgroup = self._host.create(name, request.limits) if self._host.bases else None
        try:
            launched = launch(
                Launch(
                    program=self._program,
                    plan=checked,
                    env=request.env,
                    user=user,
                    limits=request.limits,
                    listeners=request.listeners,
                    log=descriptors[0],
                    cgroup=cgroup,
                    terminal=request.terminal,
                )
            )
        except BaseException:
            if cgroup is not None:
                cgroup.kill()
                cgroup.remove()
            raise
        note = record(self._view.scratches, name, (launched.pid, launched.init))
        running = Running(request.sandbox, slot, launched, cgroup, note)
        slot.running = self._running[request.sandbox] = running
        self._reply(number, p.Started(), tuple(launched.sockets))
        p.close_all(launched.sockets)
        launched.sockets.clear()

    def _kill(self, running: Running, reason: str) -> None:
        """Begin the end: `_finish` is called when bubblewrap is gone."""
        running.killed = running.killed or reason
        running.launched.kill()

    def _finish(self, running: Running) -> None:
        """Make sure that the whole tree is dead, then report."""
        launched, slot, cgroup = running.launched, running.slot, running.cgroup
        launched.kill()
        # The namespace's end comes first, so that its cgroup is empty when it is looked at.
        ends: list[Callable[[], None]] = [partial(launched.wait_dead, DEAD_WITHIN_S)]
        if cgroup is not None:
            ends.append(cgroup.kill)
        for end in ends:
            try:
                end()
            except SandboxFailedError as error:
                slot.broken = error.message
        status = self._status(running, launched.finish())
        if cgroup is not None:
            cgroup.remove()
        os.unlink(running.note)
        slot.running = None
        del self._running[running.number]
        self._reply(0, p.Exited(running.number, status))

    def _status(self, running: Running, code: int) -> ExitStatus:
        cgroup, place = running.cgroup, running.slot.place
        full = running.out_of_disk
        usage = cgroup.usage() if cgroup is not None else Usage()
        if place is not None and place.image is not None:
            full = code != 0 and is_full(place.path)
            running.used_bytes = used_bytes(place.path)
        return ExitStatus(
            started=running.launched.started,
            code=code,
            killed=running.killed,
            out_of_memory=cgroup is not None and cgroup.out_of_memory(),
            out_of_pids=cgroup is not None and cgroup.out_of_pids(),
            out_of_disk=full,
            usage=msgspec.structs.replace(usage, disk_bytes=running.used_bytes),
        )

    def _look(self) -> None:
        """Measure the scratches that have no file system of their own, each at most every second."""
        for running in list(self._running.values()):
            place = running.slot.place
            if place is None or time.monotonic() < running.next_look:
                continue
            running.next_look = float("inf")  # until this look is done
            began = time.monotonic()
            limit_bytes, limit_entries, path = place.granted, place.max_entries, place.path
            caches = tuple(running.slot.caches.values())

            def work(
                path: str = path, most: int = limit_bytes, entries: int = limit_entries,
                caches: tuple[Held, ...] = caches,
            ) -> bytes:  # fmt: skip
                found = measure(path, max_bytes=most, max_entries=entries)
                return msgspec.msgpack.encode((*found, any(held.is_over() for held in caches)))

            def looked(
                result: bytes | None, running: Running = running, began: float = began, most: int = limit_bytes,
                entries: int = limit_entries,
            ) -> None:  # fmt: skip
                took = time.monotonic() - began
                running.next_look = time.monotonic() + max(LOOK_EVERY_S, 5 * took)
                found = _unpacked(result, tuple[int, int, bool])
                if found is None or running.number not in self._running:
                    return
                used, count, is_over = found
                running.used_bytes = used
                if is_over:
                    running.out_of_disk = True
                    self._kill(running, "the disk limit of a cache is exceeded")
                if used > most or count > entries:
                    running.out_of_disk = True
                    self._kill(running, f"the disk limit is exceeded: {most} bytes, {entries} entries")

            self._chore(work, None, looked)

    # Trees of the store

    def _new_tree(self, name: str) -> str:
        trees = os.open(
            f"{self._view.store.path}/{TREES}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
        try:
            os.mkdir(name, 0o755, dir_fd=trees)
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=trees)
            if os.geteuid() == 0:
                os.fchown(made, self._store.uid, self._store.gid)
            os.close(made)
        except OSError as error:
            raise SandboxFailedError(f"the tree {name} cannot be made: {error.strerror}") from error
        finally:
            os.close(trees)
        return f"{self._view.store.path}/{TREES}/{name}"

    def _remove_tree(self, number: int, name: str) -> None:
        path = f"{self._view.store.path}/{TREES}/{name}"

        def removed(result: bytes | None) -> None:
            problem = None if result is not None else f"the tree {name} cannot be removed"
            if problem is None:
                os.rmdir(path)
            self._done(number, problem)

        if os.path.islink(path) or not os.path.isdir(path):
            self._done(number, None)
            return
        self._chore(partial(clear, path), self._store, removed)

    # Answers, chores, the end

    def _chore(
        self, work: Callable[[], bytes | None], user: User | None, then: Callable[[bytes | None], None]
    ) -> None:
        chore = start_chore(work, user)
        self._chores[chore.watch] = (chore, then)

    def _done(self, number: int, problem: str | None) -> None:
        self._reply(number, p.Done() if problem is None else p.Failed(problem))

    def _reply(self, number: int, body: p.Reply, descriptors: tuple[int, ...] = ()) -> None:
        try:
            p.send(self._channel, p.ReplyPacket(number, body), descriptors)
        except OSError:
            return  # the worker is gone; the next turn sees it

    def _end_all(self) -> None:
        for running in list(self._running.values()):
            self._kill(running, "the worker ended")
            self._finish(running)
        for slot in self._slots:
            self._clear(slot, lambda _: None)
        while self._chores:  # one may lead to the next
            chore, then = self._chores.pop(next(iter(self._chores)))
            then(chore.finish())
        self._host.remove()


def _unpacked(result: bytes | None, kind: Any) -> Any:
    """Return what a chore's result holds; None if it failed, or its result is of another form."""
    if result is None:
        return None
    try:
        return unpack_as(result, kind, what="result")
    except MalformedPayloadError:
        return None
