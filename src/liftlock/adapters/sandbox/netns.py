"""What is done to a sandbox from outside before its command runs: listening sockets in it, its bound on processes.

A child becomes the slot's user, who owns the sandbox's namespaces and so has every right in them and none outside;
it enters the network namespace, listens, hands the sockets back and ends. No code of ours is in the sandbox, the
launcher never leaves its own namespaces, and all this takes no capability.

Source: setns(2), namespaces(7); docs/explanation/sandbox.md#network
"""

from __future__ import annotations

import fcntl
import os
import resource
import socket

from liftlock.adapters.sandbox.syscalls import CLONE_NEWNET, CLONE_NEWUSER, NS_GET_USERNS, setns
from liftlock.adapters.sandbox.users import User
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import Listener

BACKLOG = 64
_IP_FREEBIND = 15  # linux/in.h: the address may be bound before bubblewrap has brought the loopback up
MAX_LISTENERS = 16
_DONE = b"done"


def settle(pid: int, user: User, *, processes: int, listeners: tuple[Listener, ...]) -> list[int]:
    """Bound the processes of the sandbox whose PID 1 is `pid`; return descriptors of sockets that listen in it.

    The bound is set now, and not before the sandbox has a user namespace of its own: in that, the kernel counts its
    processes alone, and not all of the user's. The sockets are in the order of `listeners`.

    Raises:
        SandboxFailedError: the process is gone, the kernel refuses, or an address is taken twice.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = os.fork()
        if child == 0:
            _child(theirs, pid, user, processes, listeners)
        theirs.close()
        try:
            message, descriptors, _, _ = socket.recv_fds(ours, 4096, MAX_LISTENERS, socket.MSG_CMSG_CLOEXEC)
        finally:
            os.waitpid(child, 0)
    if message != _DONE or len(descriptors) != len(listeners):
        for descriptor in descriptors:
            os.close(descriptor)
        raise SandboxFailedError(f"settling the sandbox: {message.decode(errors='replace') or 'it is gone'}")
    return descriptors


def _child(
    channel: socket.socket, pid: int, user: User, processes: int, listeners: tuple[Listener, ...]
) -> None:
    """Enter, listen, send, end: this process never returns into the launcher's code."""
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (processes, processes))
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
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
        socket.send_fds(channel, [_DONE], [listening.fileno() for listening in sockets])
    except BaseException as error:  # noqa: BLE001 - a forked child must not unwind into its parent's code
        os.write(channel.fileno(), repr(error)[:2000].encode())
    finally:
        os._exit(0)
