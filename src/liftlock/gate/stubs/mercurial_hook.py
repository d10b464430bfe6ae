"""pretxnchangegroup: asks the gate whether these changesets may stay. Runs inside hg, as the pusher, without liftlock.

It never raises: an error in a hook rejects a push, and whether an unreachable gate does is the operator's choice.
"""

import socket

SOCKET = ""  # set by install
REPOSITORY = ""  # set by install
FAIL = "open"  # set by install
BUDGET_S = 2.0
BATCH = 512
FIRST_BATCH = 40
PIECE = 524288
PUSHER_VARIABLES = (b"LIFTLOCK_PUSHER", b"REMOTE_USER")


def stored(changelog, revs):
    """Return node, second parent and text of these revisions: many at once where hg can, else one by one (slower)."""
    try:
        # An entry: offset with flags, sizes stored and whole, base of the delta, link, parents, node.
        entries = [changelog.index[rev] for rev in revs]
        texts = [bytes(chunk) for chunk in changelog._chunks(list(revs))]
        if entries[0][7] == changelog.node(revs[0]) and len(texts) == len(entries):
            return [
                (
                    entry[7],
                    entry[6],
                    text
                    if entry[3] == rev and not entry[0] & 0xFFFF and entry[2] == len(text)
                    else changelog.revision(rev),
                )
                for rev, entry, text in zip(revs, entries, texts)  # noqa: B905 -- strict needs Python 3.10
            ]
    except Exception:  # noqa: BLE001, S110 -- another version of hg: its public interface does as well
        pass
    return [(changelog.node(rev), changelog.parentrevs(rev)[1], changelog.revision(rev)) for rev in revs]


def frame(kind, payload):
    return kind + len(payload).to_bytes(4, "big") + payload


class Asking:
    """One question: every step draws on the same budget of time."""

    def __init__(self):
        self.end = self.now() + BUDGET_S
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    @staticmethod
    def now():
        # Seconds that nobody sets; through the one module that is imported, to add nothing else to hg's start.
        return socket.os.times()[4]

    def patience(self):
        left = self.end - self.now()
        if left <= 0:
            raise TimeoutError("the push took too long to list")
        self.connection.settimeout(left)

    def send(self, *frames):
        self.patience()
        self.connection.sendall(b"".join(frames))

    def receive(self, size):
        data = b""
        while len(data) < size:
            self.patience()
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise OSError("the gate closed the connection")
            data += piece
        return data

    def verdict(self):
        """Return whether it is rejected, and the text."""
        head = self.receive(5)
        payload = self.receive(int.from_bytes(head[1:], "big"))
        if head[:1] != b"V":
            raise OSError("the gate answered something else")
        return payload[:1] != b"A", payload[1:]

    def hello(self, environment):
        lines = [b"v=1", b"hook=mercurial", b"repository=" + REPOSITORY.encode("utf-8")]
        for name in PUSHER_VARIABLES:
            value = environment.get(name, b"")
            if value and b"\n" not in value:
                lines.append(b"env.%s=%s" % (name, value[:255]))
        self.connection.connect(SOCKET)
        self.send(frame(b"H", b"\n".join(lines)))

    def changesets(self, changelog, first):
        """Send every changeset from `first` on: its name, its kind, its text as it is stored."""
        at, end, batch = first, len(changelog), FIRST_BATCH
        while at < end:
            revs = range(at, min(at + batch, end))
            waiting = [
                b"%s %s %d\n%s\n"
                % (node.hex().encode(), b"changeset" if second == -1 else b"merge", len(text), text)
                for node, second, text in stored(changelog, revs)
            ]
            # Small batches first: the gate reads one while the next is made.
            at, batch = revs.stop, min(BATCH, 2 * batch)
            data = b"".join(waiting)
            pieces = [frame(b"C", data[n : n + PIECE]) for n in range(0, len(data), PIECE)]
            self.send(*pieces, *([frame(b"E", b"%d" % (end - first))] if at == end else []))

    def push(self, ui, repo, node):
        self.patience()
        changelog = repo.unfiltered().changelog
        self.hello(ui.environ)
        try:  # noqa: SIM105 -- contextlib would be one more import
            self.changesets(changelog, changelog.rev(bytes.fromhex(node.decode("ascii"))))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the gate has answered already
        return self.verdict()


def gate(ui, repo, hooktype=None, node=None, source=None, **_):
    """Return True to reject. `node`: the first of the new changesets, hexadecimal."""
    if source == b"strip":
        return False  # changesets that were here already and are put back
    asking = None
    try:
        asking = Asking()
        rejected, text = asking.push(ui, repo, node)
    except Exception as error:  # noqa: BLE001 -- an error here must not decide on its own
        rejected = FAIL == "closed"
        then = "push rejected: ask an operator" if rejected else "the push was let in and is audited later"
        said = str(error) or type(error).__name__
        text = f"liftlock: the gate did not answer ({said}): {then}".encode("utf-8", "replace")
    finally:
        if asking is not None:
            asking.connection.close()
    if text:
        ui.warn(text + b"\n")
    return rejected
