"""The small bug tracker on 127.0.0.1, over HTTP with the keys of `KEYS`."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from liftlock.processes.demo.tracker_answers import TrackerModel, refusal

KEYS: Final = {"ADMIN": "admin-key-0", "BOT": "bot-key-000", "SEC": "sec-key-000", "DEV": "dev-key-000"}
"""Keys of a tracker that lives as long as the demo, holds invented bugs and listens on the loopback interface."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: TrackerModel

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        address = urlsplit(self.path)
        given = self.headers.get("X-BUGZILLA-API-KEY")
        user = next((name for name, key in KEYS.items() if key == given), None)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, answer = self._answered(user, given, address.path, dict(parse_qsl(address.query)), body)
        sent = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def _answered(
        self, user: str | None, given: str | None, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any]]:
        if self.model.down:
            return 503, {"error": True, "code": 0, "message": "down for maintenance"}
        if given is not None and user is None:
            return refusal(400, 306, "The API key you specified is invalid.")
        try:
            said = json.loads(body) if body else {}
        except ValueError:
            return refusal(400, 32000, "malformed JSON")
        return self.model.answer(user, self.command, path, query, said)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name
        """Write nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(model: TrackerModel, port: int = 0) -> Iterator[str]:
    """Yield the address of a server of the model."""
    server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"model": model}))
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
