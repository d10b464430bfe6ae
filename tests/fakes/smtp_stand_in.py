"""A mail server on the loopback, for tests: takes messages, or refuses them as it is told."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass(slots=True)
class MailServer:
    """What came, and how the server answers a recipient: `250`, or a refusal."""

    port: int = 0
    answer: str = "250 ok"
    messages: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, str]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    tried: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?from=liftlock@example.com&tls=none"

    def wait(self, count: int, seconds: float = 20) -> list[EmailMessage]:
        """Return the messages once there are so many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.messages) >= count, seconds), len(self.messages)
            return list(self.messages)


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Yield a mail server that answers."""
    made = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            sender = recipient = ""
            self._say("220 stand-in")
            while line := self.rfile.readline().decode("ascii", "replace").strip():
                match line.split(":")[0].upper().split(" ")[0]:
                    case "MAIL":
                        sender = line.partition(":")[2].split(" ")[0]
                        self._say("250 ok")
                    case "RCPT":
                        recipient = line.partition(":")[2]
                        made.tried += 1
                        self._say(made.answer)
                    case "DATA":
                        self._say("354 go on")
                        self._take(sender, recipient)
                    case "QUIT":
                        self._say("221 bye")
                        return
                    case _:
                        self._say("250 stand-in")

        def _take(self, sender: str, recipient: str) -> None:
            raw = b""
            while (line := self.rfile.readline()) != b".\r\n":
                raw += line[1:] if line.startswith(b"..") else line
            message = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            with made.arrived:
                made.messages.append(message)
                made.envelopes.append((sender.strip("<> "), recipient.strip("<> ")))
                made.arrived.notify_all()
            self._say("250 taken")

        def _say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
