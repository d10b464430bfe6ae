"""What the worker and its launcher say to each other: one request or reply a packet, large content by descriptor.

A packet is one byte and descriptors; the first descriptor is a memory file with the message in MessagePack. The
launcher reads nothing else from the worker, and decodes into these types and no others.
"""

from __future__ import annotations

import array
import os
import socket

import msgspec

from liftlock.errors import MalformedPayloadError, SandboxFailedError
from liftlock.ports.sandbox import (
    Bind,
    CacheBind,
    DataFile,
    ExitStatus,
    FoundFile,
    IsolationLevel,
    Limits,
    Listener,
    Rejected,
)
from liftlock.values.packets import unpack_as

MAX_MESSAGE = 256 << 20
MAX_DESCRIPTORS = 32


class NewScratch(msgspec.Struct, frozen=True, tag=True):
    """Clear the slot and make a scratch. Answer: Made."""

    slot: int
    max_bytes: int
    max_entries: int


class Start(msgspec.Struct, frozen=True, tag=True):
    """Start a sandbox; descriptor: the write end of the log, or its terminal. Answer: Started.

    `tree`: a new directory of the store's trees that is bound at `/build` in place of the scratch; the sandbox
    then runs as the store's user. `env` is exact.
    """

    sandbox: int
    slot: int
    scratch: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    limits: Limits
    binds: tuple[Bind, ...] = ()
    files: tuple[DataFile, ...] = ()
    listeners: tuple[Listener, ...] = ()
    root: str | None = None
    tree: str | None = None
    caches: tuple[CacheBind, ...] = ()
    own: tuple[str, ...] = ()
    terminal: bool = False


class OpenCache(msgspec.Struct, frozen=True, tag=True):
    """Open a cache for the slot's run, made if there is none from after `not_before_ms`. Answer: CacheOpened."""

    slot: int
    scratch: str
    key: str
    now_ms: int
    not_before_ms: int
    max_bytes: int
    max_entries: int
    store_bytes: int


class DropCache(msgspec.Struct, frozen=True, tag=True):
    """Remove an open cache once the slot is cleared. Answer: Done."""

    slot: int
    scratch: str
    key: str


class Kill(msgspec.Struct, frozen=True, tag=True):
    """End a sandbox. Answer: Done, at once; Exited follows."""

    sandbox: int
    reason: str


class OpenFile(msgspec.Struct, frozen=True, tag=True):
    """Open a regular file of a scratch. Answer: Opened with its descriptor, or Refused."""

    slot: int
    scratch: str
    path: str
    max_bytes: int


class ListFiles(msgspec.Struct, frozen=True, tag=True):
    """List the regular files below a directory of a scratch. Answer: Listed or Refused."""

    slot: int
    scratch: str
    path: str
    max_entries: int


class RemoveScratch(msgspec.Struct, frozen=True, tag=True):
    """Clear the slot. Answer: Done."""

    slot: int
    scratch: str


class RemoveTree(msgspec.Struct, frozen=True, tag=True):
    """Remove a directory of the store's trees. Answer: Done."""

    tree: str


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The launcher's first packet: what separates tasks here, and which slots there are."""

    isolation: IsolationLevel
    slots: tuple[int, ...]


class Made(msgspec.Struct, frozen=True, tag=True):
    """The scratch is there."""

    name: str
    max_bytes: int


class Started(msgspec.Struct, frozen=True, tag=True):
    """The sandbox runs; descriptors: the listening sockets, in order."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """It is done."""


class CacheOpened(msgspec.Struct, frozen=True, tag=True):
    """The cache can be bound; `made_ms`: when it was made."""

    made_ms: int
    fresh: bool


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The file's descriptor comes along."""

    size: int


class Listed(msgspec.Struct, frozen=True, tag=True):
    """The files, sorted by path."""

    files: tuple[FoundFile, ...]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The path is no artifact."""

    why: Rejected


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It could not be done. `unavailable`: the kernel refuses isolation (IsolationUnavailableError)."""

    message: str
    unavailable: bool = False


class Exited(msgspec.Struct, frozen=True, tag=True):
    """A sandbox ended and its whole tree is dead; sent unasked, once for every Started."""

    sandbox: int
    status: ExitStatus


Request = (
    NewScratch | Start | Kill | OpenFile | ListFiles | RemoveScratch | RemoveTree | OpenCache | DropCache
)
Reply = Hello | Made | Started | Done | Opened | CacheOpened | Listed | Refused | Failed | Exited


class RequestPacket(msgspec.Struct, frozen=True):
    """A request and the number that its answer carries."""

    number: int
    body: Request


class ReplyPacket(msgspec.Struct, frozen=True):
    """An answer; number 0: unasked."""

    number: int
    body: Reply


_encode = msgspec.msgpack.Encoder().encode


def send(
    channel: socket.socket, packet: RequestPacket | ReplyPacket, descriptors: tuple[int, ...] = ()
) -> None:
    """Send one packet; the descriptors stay the caller's."""
    memory = os.memfd_create("packet", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(memory), "wb") as file:
            file.write(_encode(packet))
        socket.send_fds(channel, [b"p"], [memory, *descriptors])
    finally:
        os.close(memory)


def receive_request(channel: socket.socket) -> tuple[RequestPacket, list[int]] | None:
    """Return the next request and its descriptors (the caller's); None: the worker is gone."""
    received = _receive(channel)
    if received is None:
        return None
    try:
        return unpack_as(received[0], RequestPacket, what="request"), received[1]
    except MalformedPayloadError as error:
        close_all(received[1])
        raise SandboxFailedError(f"a request to the launcher is malformed: {error.message}") from error


def receive_reply(channel: socket.socket) -> tuple[ReplyPacket, list[int]] | None:
    """Return the next reply and its descriptors (the caller's); None: the launcher is gone."""
    received = _receive(channel)
    if received is None:
        return None
    try:
        return unpack_as(received[0], ReplyPacket, what="reply"), received[1]
    except MalformedPayloadError as error:
        close_all(received[1])
        raise SandboxFailedError(f"the launcher's reply is malformed: {error.message}") from error


def _receive(channel: socket.socket) -> tuple[bytes, list[int]] | None:
    room = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
    byte, extra, flags, _ = channel.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            descriptors += numbers
    if not byte:
        return None
    if flags & socket.MSG_CTRUNC or not descriptors:
        close_all(descriptors)
        raise SandboxFailedError("a packet came without its message")
    with os.fdopen(descriptors[0], "rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_MESSAGE:
            close_all(descriptors[1:])
            raise SandboxFailedError(f"a message is larger than {MAX_MESSAGE} bytes")
        file.seek(0)
        return file.read(MAX_MESSAGE), descriptors[1:]


def close_all(descriptors: list[int]) -> None:
    """Close each of `descriptors`."""
    for descriptor in descriptors:
        os.close(descriptor)
