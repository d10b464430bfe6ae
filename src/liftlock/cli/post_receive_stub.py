"""Rings for a project whenever its repository was pushed to. Runs as the pusher, by `python3 -SI`, without liftlock."""

import json
import os
import sys
from collections.abc import Iterable

URL = ""  # set by install-hook
PROJECT = ""  # set by install-hook
DROP_BOX = ""  # set by install-hook
TIMEOUT_S = 2
PUSHER_VARIABLES = (
    "LIFTLOCK_PUSHER",
    "GL_USER",
    "GL_USERNAME",
    "GITEA_PUSHER_NAME",
    "REMOTE_USER",
    "LOGNAME",
)


def pusher() -> str:
    """Return the name that the host gives to who pushes: a claim, and no more than that."""
    for name in PUSHER_VARIABLES:
        if os.environ.get(name):
            return os.environ[name][:255]
    import pwd  # noqa: PLC0415 -- seldom needed, and the push waits

    return pwd.getpwuid(os.getuid()).pw_name


def claims(lines: Iterable[str]) -> list[dict[str, str]]:
    """Return what moved, of the lines `old new ref` that git gives to the hook."""
    found = []
    for line in lines:
        parts = line.split()
        if len(parts) == 3 and parts[2].startswith("refs/heads/") and parts[1].strip("0"):
            found.append({"branch": parts[2][11:], "revision": parts[1], "pusher": pusher()})
    return found[:100]


def leave(said: list[dict[str, str]]) -> None:
    """Leave the ring in the drop box: on disk, then renamed into place, so that it is there as a whole or not at all."""
    name = f"{os.getpid()}-{os.urandom(8).hex()}"
    staged = os.path.join(DROP_BOX, name + ".new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        os.write(descriptor, json.dumps({"project": PROJECT, "claims": said}).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(staged, os.path.join(DROP_BOX, name + ".ring"))


def ring(said: list[dict[str, str]]) -> None:
    """Ring by HTTP, in a process of its own, so that the push ends without waiting for the answer."""
    if os.fork():
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    import socket  # noqa: PLC0415 -- in the process that nobody waits for

    scheme, _, rest = URL.partition("://")
    place, _, path = rest.partition("/")
    host, colon, port = place.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = place, "443" if scheme == "https" else "80"
    connection = socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S)
    if scheme == "https":
        import ssl  # noqa: PLC0415 -- only where it is needed

        connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host.strip("[]"))
    body = json.dumps({"claims": said})
    lines = [
        f"POST /{path} HTTP/1.1",
        f"Host: {place}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    connection.sendall("\r\n".join([*lines, "", body]).encode())
    connection.recv(1024)
    connection.close()


def main() -> None:
    """Ring, and never fail the push: git ignores this hook's exit status, and a poll backs every ring."""
    said = claims(sys.stdin)
    if DROP_BOX:
        try:
            leave(said)
        except OSError as error:
            sys.stderr.write(f"liftlock: the ring could not be left: {error.strerror}\n")
    try:
        ring(said)
    finally:
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
