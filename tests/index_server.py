"""A real package index for tests: `index_server.py PORT FOLDER USER`, the token on standard input."""

from __future__ import annotations

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pypiserver


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    port, folder, user = sys.argv[1:]
    token = sys.stdin.read()
    app = pypiserver.app(
        roots=[folder],
        authenticate=["update"],
        disable_fallback=True,
        auther=lambda name, given: (name, given) == (user, token),
        server_method="wsgiref",
    )
    make_server("127.0.0.1", int(port), app, handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    main()
