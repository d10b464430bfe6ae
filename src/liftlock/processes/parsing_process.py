"""The process that parses hostile content for another one: forked before that one has read a setting or a secret."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from liftlock.adapters.parsing.server import serve, warm_up
from liftlock.ports.confined_parser import Parsing
from liftlock.processes.privileges import UserIds, die_with_parent, drop_to
from liftlock.values.json import decode_as


def fork_parser(parsings: Mapping[str, Parsing], samples: Mapping[str, bytes]) -> socket.socket:
    """Return the channel to a new process that parses and can't do anything else; its first packet says who it becomes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    warm_up(parsings, samples)
    parent = os.getpid()
    if os.fork() != 0:
        theirs.close()
        return ours
    code = 1
    try:
        kept = os.dup2(theirs.fileno(), 3, inheritable=False) if theirs.fileno() != 3 else 3
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        with socket.socket(fileno=os.dup(kept)) as channel:
            os.close(kept)
            drop_to(decode_as(channel.recv(200), UserIds | None, what="user"))
            die_with_parent(parent)
            serve(channel, parsings)
        code = 0
    finally:
        os._exit(code)
