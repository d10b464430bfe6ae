"""Listening sockets inside a sandbox's own network namespace, made from outside: no code of ours in the sandbox.

A child enters the namespace, listens, hands the sockets back and ends; the launcher itself never leaves its own.

Source: setns(2), namespaces(7); docs/explanation/sandbox.md#network
"""

from __future__ import annotations

import fcntl
import os
import socket

from liftlock.adapters.sandbox.syscalls import CLONE_NEWNET, CLONE_NEWUSER, NS_GET_USERNS, setns
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import Listener

BACKLOG = 64
_IP_FREEBIND = 15  # linux/in.h: the address may be bound before bubblewrap has brought the loopback up
MAX_LISTENERS = 16


def listen_inside(pid: int, listeners: tuple[Listener, ...]) -> list[int]:
    """Return descriptors of sockets that listen in the network namespace of process `pid`, in the given order.

    Raises:
        SandboxFailedError: the process is gone, the kernel refuses, or an address is taken twice.
    """
    if not listeners:
        return []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = os.fork()
        if child == 0:
            _child(theirs, pid, listeners)
        theirs.close()
        try:
            message, descriptors, _, _ = socket.recv_fds(ours, 4096, MAX_LISTENERS, socket.MSG_CMSG_CLOEXEC)
        finally:
            os.waitpid(child, 0)
    if len(descriptors) != len(listeners):
        for descriptor in descriptors:
            os.close(descriptor)
        raise SandboxFailedError(
            f"listening inside the sandbox: {message.decode(errors='replace') or 'it is gone'}"
        )
    return descriptors


def _child(channel: socket.socket, pid: int, listeners: tuple[Listener, ...]) -> None:
    """Enter, listen, send, end: this process never returns into the launcher's code."""
    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if os.geteuid() != 0:
            setns(fcntl.ioctl(namespace, NS_GET_USERNS), CLONE_NEWUSER)
        setns(namespace, CLONE_NEWNET)
        sockets = []
        for listener in listeners:
            listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            listening.bind((listener.host, listener.port))
            listening.listen(BACKLOG)
            sockets.append(listening)
        socket.send_fds(channel, [b"ok"], [listening.fileno() for listening in sockets])
    except BaseException as error:  # noqa: BLE001 - a forked child must not unwind into its parent's code
        os.write(channel.fileno(), repr(error)[:2000].encode())
    finally:
        os._exit(0)
