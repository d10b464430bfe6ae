"""A server that gives one file for every request, as cheaply as one can: the sender of a benchmark, in a process of its own.

`python benchmarks/file_server.py FILE` prints its port.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n"


def main() -> None:
    """Serve until killed, one connection after the other."""
    with open(sys.argv[1], "rb") as file, socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                while _request(connection):
                    _answer(connection, file.fileno(), os.fstat(file.fileno()).st_size)


def _request(connection: socket.socket) -> bool:
    """Take one request; False: there is none."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            return False
        head += more
    return True


def _answer(connection: socket.socket, file: int, size: int) -> None:
    connection.sendall(_HEAD % size)
    sent = 0
    while sent < size:
        sent += os.sendfile(connection.fileno(), file, sent, size - sent)


if __name__ == "__main__":
    main()
