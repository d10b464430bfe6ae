"""The worker's side: the sandbox port over the channel to the launcher."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from liftlock.adapters.sandbox import protocol as p
from liftlock.adapters.sandbox.preparing import Preparing
from liftlock.errors import IsolationUnavailableError, SandboxFailedError
from liftlock.ports.sandbox import (
    CacheRequest,
    CheckoutRequest,
    DiskLimits,
    ExitStatus,
    FoundFile,
    ImageRequest,
    IsolationLevel,
    OpenedCache,
    OpenedFile,
    OwnRequest,
    Placement,
    Rejected,
    SandboxSpec,
    Scratch,
    UnpackRequest,
    UnpackResult,
)
from liftlock.values.instants import from_ms, to_ms

DEFAULT_ENV = {"HOME": "/build", "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_Answer = tuple[p.Reply, list[int]]


class _Running:
    """One started sandbox. Source: ports.sandbox.RunningSandbox"""

    def __init__(
        self,
        log_fd: int,
        listeners: tuple[socket.socket, ...],
        ended: asyncio.Future[ExitStatus],
        kill: Callable[[str], asyncio.Future[_Answer]],
    ) -> None:
        self._log_fd = log_fd
        self._listeners = listeners
        self._ended = ended
        self._kill = kill

    @property
    def log_fd(self) -> int:
        """The read end of stdout and stderr."""
        return self._log_fd

    @property
    def listeners(self) -> tuple[socket.socket, ...]:
        """The listening sockets."""
        return self._listeners

    async def wait(self) -> ExitStatus:
        """Return how it ended."""
        return await asyncio.shield(self._ended)

    async def kill(self, reason: str) -> None:
        """End it now."""
        if not self._ended.done():
            await self._kill(reason)


class BubblewrapSandbox:
    """Sandboxes by bubblewrap, through a launcher. Source: ports.sandbox.Sandbox"""

    def __init__(self, channel: socket.socket, hello: p.Hello) -> None:
        self._channel = channel
        self._hello = hello
        self._answers: dict[int, asyncio.Future[_Answer]] = {}
        self._ended: dict[int, asyncio.Future[ExitStatus]] = {}
        self._last = 0
        self._gone: SandboxFailedError | None = None
        self._preparing = Preparing(self)
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read)

    @classmethod
    async def connect(cls, channel: socket.socket) -> BubblewrapSandbox:
        """Return the sandbox behind `channel` (see `spawn_launcher`), which is this object's from now on.

        Raises:
            IsolationUnavailableError: the machine does not allow it; the message says what is missing.
            SandboxFailedError: the launcher did not start.
        """
        # Clearing up after a killed predecessor may take long, and must be done before anything starts.
        channel.setblocking(True)
        try:
            received = await asyncio.to_thread(p.receive_reply, channel)
        except OSError:
            received = None
        match received:
            case (p.ReplyPacket(body=p.Hello() as hello), _):
                return cls(channel, hello)
            case (p.ReplyPacket(body=p.Failed() as failed), _):
                channel.close()
                raise _error(failed)
            case _:
                channel.close()
                raise SandboxFailedError("the launcher did not start")

    @property
    def isolation(self) -> IsolationLevel:
        """What separates tasks here."""
        return self._hello.isolation

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots."""
        return self._hello.slots

    async def new_scratch(self, slot: int, disk: DiskLimits) -> Scratch:
        """Return a new scratch in `slot`."""
        reply, _ = await self._ask(p.NewScratch(slot, disk.max_bytes, disk.max_entries))
        if not isinstance(reply, p.Made):
            raise _unexpected(reply)
        return Scratch(slot, reply.name, reply.max_bytes)

    async def open_cache(self, request: CacheRequest) -> OpenedCache:
        """Open a cache for the slot's run."""
        asked = p.OpenCache(
            request.scratch.slot,
            request.scratch.name,
            request.key,
            now_ms=to_ms(request.now),
            not_before_ms=-1 if request.not_before is None else to_ms(request.not_before),
            max_bytes=request.max_bytes,
            max_entries=request.max_entries,
            store_bytes=request.store_bytes,
        )
        reply, _ = await self._ask(asked)
        if not isinstance(reply, p.CacheOpened):
            raise _unexpected(reply)
        return OpenedCache(from_ms(reply.made_ms), reply.fresh)

    async def drop_cache(self, scratch: Scratch, key: str) -> None:
        """Have an open cache removed with the scratch."""
        await self._ask(p.DropCache(scratch.slot, scratch.name, key))

    async def start(self, spec: SandboxSpec) -> _Running:
        """Start the command of `spec`."""
        return await self.start_with(spec)

    async def start_with(self, spec: SandboxSpec, *, tree: str | None = None) -> _Running:
        """Start over the scratch, or over a new tree of the store."""
        self._last += 1
        number = self._last
        log_read, log_write = os.openpty() if spec.terminal else os.pipe2(os.O_CLOEXEC)
        os.set_blocking(log_read, False)
        request = p.Start(
            sandbox=number,
            slot=spec.scratch.slot,
            scratch=spec.scratch.name,
            argv=spec.argv,
            env=DEFAULT_ENV | spec.env,
            cwd=spec.cwd,
            limits=spec.limits,
            binds=spec.binds,
            files=spec.files,
            listeners=spec.listeners,
            root=spec.root,
            tree=tree,
            caches=spec.caches,
            own=spec.own,
            terminal=spec.terminal,
        )
        ended: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        self._ended[number] = ended
        try:
            _, descriptors = await self._ask(request, (log_write,))
        except BaseException as error:
            self._ended.pop(number, None)
            if isinstance(error, asyncio.CancelledError) and self._gone is None:
                self._post(p.Kill(number, "given up"))  # it may be starting
            os.close(log_write)
            said = _rest(log_read)
            os.close(log_read)
            if isinstance(error, IsolationUnavailableError) and said:
                raise IsolationUnavailableError(f"{error.message}: {said}") from error
            raise
        os.close(log_write)
        listeners = tuple(socket.socket(fileno=descriptor) for descriptor in descriptors)
        for listener in listeners:
            listener.setblocking(False)
        return _Running(log_read, listeners, ended, lambda reason: self._post(p.Kill(number, reason)))

    async def place(self, scratch: Scratch, files: tuple[Placement, ...]) -> str | None:
        """Copy store files into the scratch."""
        return await self._preparing.place(scratch, files)

    async def unpack(self, request: UnpackRequest) -> UnpackResult:
        """Unpack archives."""
        return await self._preparing.unpack(request)

    async def unpack_image(self, request: ImageRequest) -> UnpackResult:
        """Apply an image's layers."""
        return await self._preparing.unpack_image(request)

    async def checkout(self, request: CheckoutRequest) -> str | None:
        """Make a checkout."""
        return await self._preparing.checkout(request)

    async def make_own(self, request: OwnRequest) -> str | None:
        """Make directories of an image the task's own."""
        return await self._preparing.make_own(request)

    async def open_file(self, scratch: Scratch, path: str, *, max_bytes: int) -> OpenedFile | Rejected:
        """Open one regular file of the scratch."""
        reply, descriptors = await self._ask(p.OpenFile(scratch.slot, scratch.name, path, max_bytes))
        if isinstance(reply, p.Refused):
            return reply.why
        if not isinstance(reply, p.Opened) or len(descriptors) != 1:
            raise _unexpected(reply)
        return OpenedFile(descriptors[0], reply.size)

    async def list_files(
        self, scratch: Scratch, path: str, *, max_entries: int
    ) -> tuple[FoundFile, ...] | Rejected:
        """Return the regular files below a directory of the scratch."""
        reply, _ = await self._ask(p.ListFiles(scratch.slot, scratch.name, path, max_entries))
        if isinstance(reply, p.Refused):
            return reply.why
        if not isinstance(reply, p.Listed):
            raise _unexpected(reply)
        return reply.files

    async def remove_scratch(self, scratch: Scratch) -> None:
        """Kill what lives in the slot and remove its scratch."""
        await self._ask(p.RemoveScratch(scratch.slot, scratch.name))

    async def remove_tree(self, name: str) -> None:
        """Remove an unfinished tree (`.new-…`) of the store."""
        await self._ask(p.RemoveTree(name))

    async def close(self) -> None:
        """End the launcher, and with it every sandbox; return when it is gone."""
        if self._channel.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        self._lose("the sandbox was closed")
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        self._channel.setblocking(True)
        await asyncio.to_thread(_drain, self._channel)
        self._channel.close()

    def _post(self, request: p.Request, descriptors: tuple[int, ...] = ()) -> asyncio.Future[_Answer]:
        """Send a request; the future is its answer."""
        if self._gone is not None:
            raise self._gone
        self._last += 1
        number = self._last
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            p.send(self._channel, p.RequestPacket(number, request), descriptors)
        except OSError as error:
            self._answers.pop(number, None)
            raise SandboxFailedError("the launcher is gone") from error
        return answer

    async def _ask(self, request: p.Request, descriptors: tuple[int, ...] = ()) -> _Answer:
        reply, received = await self._post(request, descriptors)
        if isinstance(reply, p.Failed):
            raise _error(reply)
        return reply, received

    def _read(self) -> None:
        """Take one packet: an answer, or the news that a sandbox ended."""
        try:
            received = p.receive_reply(self._channel)
        except (OSError, SandboxFailedError):
            received = None
        if received is None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._lose("the launcher is gone")
            return
        packet, descriptors = received
        if isinstance(packet.body, p.Exited):
            ended = self._ended.pop(packet.body.sandbox, None)
            if ended is not None and not ended.done():
                ended.set_result(packet.body.status)
            return
        answer = self._answers.pop(packet.number, None)
        if answer is None or answer.done():
            p.close_all(descriptors)  # who asked has given up
        else:
            answer.set_result((packet.body, descriptors))

    def _lose(self, why: str) -> None:
        self._gone = SandboxFailedError(why)
        waiting: list[asyncio.Future[Any]] = [*self._answers.values(), *self._ended.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(SandboxFailedError(why))
                future.exception()  # one that nobody awaits is no news
        self._answers.clear()
        self._ended.clear()


def _error(failed: p.Failed) -> IsolationUnavailableError | SandboxFailedError:
    kind = IsolationUnavailableError if failed.unavailable else SandboxFailedError
    return kind(failed.message)


def _unexpected(reply: p.Reply) -> SandboxFailedError:
    return SandboxFailedError(f"the launcher answered with {type(reply).__name__}")


def _rest(descriptor: int) -> str:
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, 4096).decode(errors="replace").strip()
    return ""


def _drain(channel: socket.socket) -> None:
    """Read until the launcher has closed its end: then it has ended everything."""
    with contextlib.suppress(OSError):
        while (received := p.receive_reply(channel)) is not None:
            p.close_all(received[1])
