"""What a hook says to gated, byte by byte, for tests that say it wrongly."""

from __future__ import annotations

import socket
from pathlib import Path


def frame(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload


def ask(path: Path, *frames: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(b"".join(frames))
        return connection.makefile("rb").read()
