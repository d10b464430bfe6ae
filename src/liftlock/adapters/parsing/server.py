"""The parsing server: forked before there is a secret, it forks one confined child for each parsing.

A request is one packet with two descriptors: what is given, and where the answer goes. The server itself never looks at
content. Its answer is one packet: how the child ended.
"""

from __future__ import annotations

import codecs
import os
import socket
from collections.abc import Mapping
from typing import Final

from liftlock.adapters.parsing.confinement import compute_only, limit, load_library
from liftlock.errors import InputValidationError
from liftlock.ports.confined_parser import Parsing

MAX_NAME: Final = 100
DONE, REFUSED, UNKNOWN, FAILED = b"d", b"r", b"u", b"f"
_CODECS: Final = ("ascii", "cp437", "idna", "latin-1", "utf-8", "utf-8-sig", "utf-16")
"""What archives and sources may name; any other is not found any more, which refuses them."""
_EXIT_DONE: Final = 0
_EXIT_REFUSED: Final = 3
_EXIT_FAILED: Final = 4


def serve(channel: socket.socket, parsings: Mapping[str, Parsing]) -> None:
    """Answer requests until the other end is gone."""
    while True:
        packet, descriptors, _, _ = socket.recv_fds(channel, MAX_NAME, 2)
        if not packet:
            return
        try:
            parsing = parsings.get(packet.decode("ascii", "replace"))
            usable = parsing is not None and len(descriptors) == 2
            answer = _run(parsing, *descriptors) if usable and parsing is not None else UNKNOWN
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        channel.send(answer)


def _run(parsing: Parsing, given: int, answer: int) -> bytes:
    """Run the parsing in a child and return how it ended."""
    child = os.fork()
    if child == 0:
        _in_child(parsing, given, answer)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _EXIT_DONE:
        return DONE
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _EXIT_REFUSED:
        return REFUSED
    return FAILED


def _in_child(parsing: Parsing, given: int, answer: int) -> None:
    """Confine this process, do the parsing, and end; whatever happens, nothing returns from here."""
    code = _EXIT_FAILED
    try:
        _close_others(given, answer)
        limit()
        compute_only()
        code, said = _outcome(parsing, _all_of(given))
        _write(answer, said)
    except BaseException:  # noqa: BLE001 -- the child must end here, whatever a hostile file made of it
        code = _EXIT_FAILED
    finally:
        os._exit(code)


def _close_others(*kept: int) -> None:
    """Close all descriptors but these: above all the channel, on which a child could answer the next question."""
    first = 0
    for descriptor in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(first, descriptor)
        first = descriptor + 1


def _outcome(parsing: Parsing, content: bytes) -> tuple[int, bytes]:
    try:
        return _EXIT_DONE, parsing(content)
    except InputValidationError as error:
        rule = str(error.details.get("rule", ""))
        return _EXIT_REFUSED, f"{rule}\n{error.message}".encode("utf-8", "replace")


def _all_of(descriptor: int) -> bytes:
    parts = []
    os.lseek(descriptor, 0, os.SEEK_SET)
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _write(descriptor: int, said: bytes) -> None:
    view = memoryview(said)
    while view:
        view = view[os.write(descriptor, view) :]


def warm_up(parsings: Mapping[str, Parsing], samples: Mapping[str, bytes]) -> None:
    """Import what is imported late, before no file can be opened, by letting each parsing answer its sample.

    Raises:
        IsolationUnavailableError: libseccomp is not there.
        InputValidationError: a parsing refuses its own sample.
    """
    load_library()
    for codec in _CODECS:
        codecs.lookup(codec)
    for name, given in samples.items():
        parsings[name](given)
