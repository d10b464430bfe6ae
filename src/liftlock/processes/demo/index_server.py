"""A real package index for the demo and the tests: `index_server PORT FOLDER USER`, the token on standard input."""

from __future__ import annotations

import importlib
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *arguments: object) -> None:
        """Forget the line."""


def main() -> None:
    """Serve until ended; whoever uploads needs the user's token."""
    port, folder, user = sys.argv[1:]
    token = sys.stdin.read()
    pypiserver = importlib.import_module("pypiserver")  # of the dependency group `demo`
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
