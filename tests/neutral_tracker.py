"""A tracker that speaks liftlock's neutral protocol, on the same bugs as the stand-in of Bugzilla."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from liftlock.domain.pushes.bug_state import BugState, Patch
from liftlock.domain.pushes.tracker_event import TrackerEvent
from liftlock.processes.demo.tracker_answers import TrackerModel

KEY = "neutral-key-000"


def state(model: TrackerModel, bug: int) -> dict[str, Any]:
    told = model.state(bug)
    kinds = {True: "patch", False: "request"}
    patches = [
        {"id": each["id"], "live": not each["obsolete"], "kind": kinds[each["patch"]], "flags": each["flags"]}
        for each in told["patches"]
    ]
    return {**told, "patches": patches}


def event(model: TrackerModel, row: dict[str, Any], source: str = "tracker") -> TrackerEvent:
    """Return a row of the model's feed as a neutral event with the state of now."""
    told = state(model, row["bug"])
    patches = tuple(Patch(**each) for each in told.pop("patches"))
    whole = BugState(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()},
        patches=patches,
    )
    return TrackerEvent(
        source=source, epoch=model.epoch, seq=row["seq"], bug=row["bug"], why=row["why"], state=whole
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: TrackerModel

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        with self.model.lock:
            status, answer = self.answer(address.path, query)
        body = json.dumps({"v": 1, **answer}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        model = self.model
        model.asked.append(path)
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return 401, {}
        match path.strip("/").split("/"):
            case ["events"]:
                rows = [row for row in model.rows if row["seq"] > int(query["since"])][:500]
                events = [
                    {
                        "seq": row["seq"],
                        "bug": row["bug"],
                        "why": row["why"],
                        "state": state(model, row["bug"]),
                    }
                    for row in rows
                ]
                return 200, {"epoch": model.epoch, "head": model.head, "floor": model.floor, "events": events}
            case ["bugs"]:
                found = [
                    bug
                    for bug, held in sorted(model.bugs.items())
                    if held["keywords"] and bug > int(query["after"])
                ]
                page = found[:2]
                return 200, {
                    "bugs": {str(bug): state(model, bug) for bug in page},
                    "next": page[-1] if len(found) > 2 else 0,
                }
            case ["bugs", number] if int(number) in model.bugs:
                return 200, {"bug": int(number), "state": state(model, int(number))}
        return 404, {}

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving_neutral(model: TrackerModel) -> Iterator[str]:
    """Yield the address of a server of the model."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"model": model}))
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
