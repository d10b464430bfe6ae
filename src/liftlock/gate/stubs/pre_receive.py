"""pre-receive: asks the gate whether these commits may come in. Runs as the pusher, by `python3 -SI`, without liftlock.

It copies what git tells of the new commits to the gate's socket and prints the answer. It never fails by an error of its
own: whether an unreachable gate rejects is the operator's choice.
"""

import _socket  # the socket module itself costs 3 ms more
import os
import select
import signal
import time

SOCKET = ""  # set by install
REPOSITORY = ""  # set by install
FAIL = "open"  # set by install
GIT = "/usr/bin/git"  # set by install
BUDGET_S = 2.0
PIECE = 262144
MAX_NAMES = 60000
KEPT_VARIABLES = (
    "GIT_DIR",
    "GIT_QUARANTINE_PATH",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)
PUSHER_VARIABLES = ("GL_USER", "GL_USERNAME", "GITEA_PUSHER_NAME", "REMOTE_USER", "LIFTLOCK_PUSHER")


class Asking:
    """One question: every step draws on the same budget of time."""

    def __init__(self) -> None:
        self.end = time.monotonic() + BUDGET_S
        self.connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self.children: list[int] = []
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        }
        for name in KEPT_VARIABLES:
            if name in os.environ:
                self.environment[name] = os.environ[name]
        grafts = os.environ.get("GIT_SHALLOW_FILE", "")
        folder, name = os.path.split(os.path.realpath(grafts))
        # git's own, of this push: commits without their parents. One that a pusher names could hide commits.
        if name.startswith("shallow_") and folder == os.path.realpath(os.environ.get("GIT_DIR", ".")):
            self.environment["GIT_SHALLOW_FILE"] = grafts
        self.known: list[str] = []

    def left(self) -> float:
        """Return the seconds that are left; raises TimeoutError."""
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("it took too long")
        return seconds

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send one frame."""
        self.connection.settimeout(self.left())
        self.connection.sendall(kind + len(payload).to_bytes(4, "big") + payload)

    def receive(self, size: int) -> bytes:
        """Return that many bytes of the answer."""
        data = b""
        while len(data) < size:
            self.connection.settimeout(self.left())
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise OSError("it closed the connection")
            data += piece
        return data

    def hello(self) -> "tuple[bytes, bytes]":
        """Connect and say what this is; return what the gate answers: which refs are exempt, or a verdict at once."""
        lines = ["v=1", "hook=git", "wants=exempt", "repository=" + REPOSITORY]
        for name in PUSHER_VARIABLES:
            value = os.environ.get(name, "")
            if value and "\n" not in value:
                lines.append(f"env.{name}={value[:255]}")
        self.connection.settimeout(self.left())
        self.connection.connect(SOCKET)
        self.send(b"H", "\n".join(lines).encode("utf-8", "surrogateescape"))
        return self.frame()

    def frame(self) -> "tuple[bytes, bytes]":
        """Return kind and payload of the gate's next frame."""
        head = self.receive(5)
        return head[:1], self.receive(int.from_bytes(head[1:], "big"))

    def take_exempt(self, patterns: bytes) -> None:
        """Count as known what branches and tags have, but for refs where nothing is looked at."""
        names = patterns.decode("utf-8", "surrogateescape").split("\n")
        exempt = ["--exclude=" + name for name in names if name]
        self.known = ["--not", *exempt, "--glob=refs/heads/*", *exempt, "--glob=refs/tags/*"]

    def start(self, arguments: list[str], source: int, target: int) -> None:
        """Start git between two descriptors."""
        actions = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, target, 1)]
        self.children.append(os.posix_spawn(GIT, ["git", *arguments], self.environment, file_actions=actions))

    def listing(self, lines: list[str], target: int, *, new: bool) -> None:
        """Start the list of the commits that these lines select; `new`: without those that were looked at."""
        source = os.memfd_create("revisions", os.MFD_CLOEXEC)
        os.write(source, "".join(line + "\n" for line in lines).encode("ascii"))
        os.lseek(source, 0, os.SEEK_SET)
        self.start(["rev-list", "--stdin", *(self.known if new else [])], source, target)
        os.close(source)

    def read(self, source: int) -> bytes:
        """Return the next piece of what git writes; nothing at the end, when every git has ended well."""
        poll = select.poll()
        poll.register(source, select.POLLIN)
        poll.register(self.connection, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(self.left() * 1000)]
        if not ready:
            raise TimeoutError("git took too long")
        if self.connection.fileno() in ready:
            raise BrokenPipeError("the gate has answered already")
        piece = os.read(source, PIECE)
        if not piece:
            os.close(source)
            statuses = [os.waitpid(self.children.pop(), 0)[1] for _ in self.children.copy()]
            if any(statuses):
                raise ChildProcessError("git could not list the commits")
        return piece

    def commits(self, names: list[str], lines: list[str], *, new: bool) -> None:
        """Send the commits that are new to these refs, as git stores them."""
        waiting: list[bytes] = []
        size = 0
        for name in names:
            waiting.append(name.encode("utf-8", "surrogateescape"))
            size += len(waiting[-1]) + 1
            if size >= MAX_NAMES:
                self.send(b"R", b"\n".join(waiting) + b"\0more")
                waiting, size = [], 0
        self.send(b"R", b"\n".join(waiting) + (b"\0new" if new else b"\0old"))
        list_end, list_start = os.pipe()
        read_end, read_start = os.pipe()
        self.listing(lines, list_start, new=new)
        os.close(list_start)
        self.start(["cat-file", "--batch", "--buffer"], list_end, read_start)
        os.close(list_end)
        os.close(read_start)
        while piece := self.read(read_end):
            self.send(b"C", piece)

    def push(self, movements: list[list[str]]) -> "tuple[bool, bytes]":
        """Return whether it is rejected, and the text."""
        kind, payload = self.hello()
        if kind != b"X":
            return self.verdict(kind, payload)
        self.take_exempt(payload)
        try:
            end = b""
            try:
                self.movements(movements)
            except ChildProcessError:
                end = b"cut"  # the gate decides by what it has seen
            self.send(b"E", end)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the gate has answered already
        return self.answer()

    def movements(self, movements: list[list[str]]) -> None:
        """Send what is new to each ref. Refs that move alike go together."""
        fresh = [each for each in movements if not each[0].strip("0")]
        if fresh:
            self.commits([name for _, _, name in fresh], [after for _, after, _ in fresh], new=True)
        moved: dict[tuple[str, str], list[str]] = {}
        for before, after, name in movements:
            if before.strip("0"):
                moved.setdefault((before, after), []).append(name)
        for (before, after), names in moved.items():
            self.commits(names, [after, "^" + before], new=False)

    def verdict(self, kind: bytes, payload: bytes) -> "tuple[bool, bytes]":
        """Return whether it is rejected, and the text."""
        if kind != b"V":
            raise OSError("it answered something else")
        return payload[:1] != b"A", payload[1:]

    def answer(self) -> "tuple[bool, bytes]":
        """Return the verdict; on the way the gate may ask which commits are new to the repository."""
        while True:
            kind, payload = self.frame()
            if kind != b"?":
                return self.verdict(kind, payload)
            asked = payload.decode("ascii").split("\n")
            read_end, read_start = os.pipe()
            self.listing(asked, read_start, new=True)
            os.close(read_start)
            listed = b""
            try:
                while piece := self.read(read_end):
                    listed += piece
            except BrokenPipeError:
                continue  # the gate waits no longer
            except ChildProcessError:
                listed = payload  # what git can't tell counts as new
            found = set(listed.decode("ascii").split())
            self.send(b"N", "\n".join(each for each in asked if each in found).encode("ascii"))

    def stop(self) -> None:
        """End what still runs."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.connection.close()


def main() -> int:
    """Return the exit status: 1 rejects the push."""
    asking = None
    try:
        asking = Asking()
        with open(0, encoding="utf-8", errors="surrogateescape", newline="\n") as told:
            movements = [line.rstrip("\n").split(" ", 2) for line in told]
        coming = [each for each in movements if each[1].strip("0")]
        rejected, text = asking.push(coming) if coming else (False, b"")
    except Exception as error:  # noqa: BLE001 -- an error here must not decide on its own
        rejected = FAIL == "closed"
        then = "push rejected: ask an operator" if rejected else "the push was let in and is audited later"
        said = str(error) or type(error).__name__
        text = f"liftlock: the gate did not answer ({said}): {then}".encode("utf-8", "replace")
    try:
        if asking is not None:
            asking.stop()
        if text:
            os.write(2, text + b"\n")
    except OSError:
        pass
    return 1 if rejected else 0


if __name__ == "__main__":
    os._exit(main())
