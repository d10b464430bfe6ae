"""A bug tracker on 127.0.0.1 that gives the REST answers of Bugzilla 5.2 with the feed's extension.

Only reading over REST: changes are made by calls on the model. It was written after tests/vectors/bugzilla-5.2.jsonl and is
not compared with it by a test yet. `down`, `floor`, `epoch` and `bot_has_access` make it misbehave.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

DOCUMENTATION = "https://bugzilla.readthedocs.org/en/5.0/api/"
KEYS = {"ADMIN": "admin-key-0", "BOT": "bot-key-000", "SEC": "sec-key-000", "DEV": "dev-key-000"}
FLAGS = ["sec-approval", "approval-mozilla-beta", "approval-mozilla-release", "review"]
Answer = tuple[int, dict[str, Any]]


def refusal(status: int, code: int, message: str) -> Answer:
    return status, {"code": code, "documentation": DOCUMENTATION, "error": True, "message": message}


class TrackerModel:
    """Bugs, attachments, flags and the feed's rows; each change makes its rows at once, as in one transaction."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.bugs: dict[int, dict[str, Any]] = {}
        self.attachments: dict[int, dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []
        self.epoch = "179521961395a2ec"
        self.head = 0
        self.next_bug, self.next_attachment, self.next_flag = 1, 1, 1
        self.clock = 1_795_226_231
        self.bot_has_access = True
        self.down = False
        self.floor = 1
        self.asked: list[str] = []

    def now(self) -> str:
        return datetime.fromtimestamp(self.clock, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def ring(self, bug: int, why: str) -> None:
        self.head += 1
        self.rows.append({"bug": bug, "seq": self.head, "why": why})
        self.clock += 1
        if bug:
            self.bugs[bug]["last_change_time"] = self.now()

    def file(self, *, keywords: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> int:
        with self.lock:
            number, self.next_bug = self.next_bug, self.next_bug + 1
            self.bugs[number] = {
                "id": number,
                "keywords": sorted(keywords),
                "groups": sorted(groups),
                "status": "CONFIRMED",
                "resolution": "",
                "is_open": True,
                "last_change_time": self.now(),
            }
            self.ring(number, "create")
            return number

    def attach(self, bug: int, *, content_type: str = "text/plain", is_patch: bool = True) -> int:
        with self.lock:
            number, self.next_attachment = self.next_attachment, self.next_attachment + 1
            self.attachments[number] = {
                "bug_id": bug,
                "content_type": content_type,
                "flags": [],
                "id": number,
                "is_obsolete": 0,
                "is_patch": int(is_patch),
                "is_private": 0,
                "last_change_time": self.now(),
            }
            self.ring(bug, "attach")
            return number

    def flag(self, attachment: int, name: str, status: str) -> None:
        with self.lock:
            held = self.attachments[attachment]
            held["flags"] = [each for each in held["flags"] if each["name"] != name]
            number, self.next_flag = self.next_flag, self.next_flag + 1
            when = self.now()
            held["flags"].append(
                {
                    "creation_date": when,
                    "id": number,
                    "modification_date": when,
                    "name": name,
                    "setter": "sec@example.test",
                    "status": status,
                    "type_id": FLAGS.index(name) + 1,
                }
            )
            self.ring(held["bug_id"], "flag")

    def set(self, bug: int, **fields: Any) -> None:
        with self.lock:
            self.bugs[bug].update(fields)
            if "resolution" in fields:
                self.bugs[bug]["is_open"] = not fields["resolution"]
            names = {"groups": "bug_group", "status": "bug_status"}
            self.ring(bug, "bug:" + " ".join(sorted(names.get(name, name) for name in fields)))

    def obsolete(self, attachment: int) -> None:
        with self.lock:
            self.attachments[attachment]["is_obsolete"] = 1
            self.ring(self.attachments[attachment]["bug_id"], "attach")

    # --- answers -----------------------------------------------------------------------------------------------------

    def answer(self, user: str | None, path: str, query: dict[str, str]) -> Answer:
        with self.lock:
            self.asked.append(path)
            parts = path.strip("/").split("/")[1:]
            match parts:
                case ["version"]:
                    return 200, {"version": "5.2+"}
                case ["gatefeed"]:
                    return self.feed(user, int(query.get("since", "0")))
                case ["bug"]:
                    return self.search(user, query)
                case ["bug", number]:
                    return self.bug(user, int(number), query)
                case ["bug", number, "attachment"]:
                    return self.attached(user, int(number), query)
            return refusal(404, 32000, "API path not found")

    def sees(self, user: str | None, bug: dict[str, Any]) -> bool:
        if not bug["groups"]:
            return True
        return user in {"ADMIN", "SEC"} or (user == "BOT" and self.bot_has_access)

    def feed(self, user: str | None, since: int) -> Answer:
        if user not in {"ADMIN", "BOT"} or (user == "BOT" and not self.bot_has_access):
            return refusal(
                401,
                304,
                "Sorry, you aren't a member of the 'gate-feed' group, and so you are not authorized to access "
                "administrative pages.",
            )
        rows = [row for row in self.rows if row["seq"] > since and row["seq"] >= self.floor][:500]
        states = {
            str(row["bug"]): self.state(self.bugs[row["bug"]]) if row["bug"] in self.bugs else {"gone": True}
            for row in rows
            if row["bug"]
        }
        return 200, {
            "epoch": self.epoch,
            "events": rows,
            "floor": self.floor if self.rows else 0,
            "head": self.head,
            "state": states,
        }

    def state(self, bug: dict[str, Any]) -> dict[str, Any]:
        return {
            **{name: bug[name] for name in ("groups", "keywords", "resolution", "status")},
            "patches": [
                {
                    "ctype": each["content_type"],
                    "flags": {flag["name"]: flag["status"] for flag in each["flags"]},
                    "id": each["id"],
                    "obsolete": bool(each["is_obsolete"]),
                    "patch": bool(each["is_patch"]),
                }
                for each in self.attachments.values()
                if each["bug_id"] == bug["id"]
            ],
        }

    def search(self, user: str | None, query: dict[str, str]) -> Answer:
        found = [bug for _, bug in sorted(self.bugs.items()) if self.sees(user, bug)]
        if "id" in query:
            found = [bug for bug in found if str(bug["id"]) in query["id"].split(",")]
        if "keywords" in query:
            wanted = set(query["keywords"].split(","))
            found = [bug for bug in found if wanted & set(bug["keywords"])]
        if "last_change_time" in query:
            found = [bug for bug in found if bug["last_change_time"] >= query["last_change_time"]]
        start = int(query.get("offset", "0"))
        found = found[start : start + int(query.get("limit", "10000"))]
        return 200, {"bugs": [only(bug, query) for bug in found]}

    def bug(self, user: str | None, number: int, query: dict[str, str]) -> Answer:
        if number not in self.bugs:
            return refusal(404, 101, f"Bug #{number} does not exist.")
        if not self.sees(user, self.bugs[number]):
            login = (
                ""
                if user
                else " To see this bug, you must first log in to an account with the appropriate permissions."
            )
            return refusal(401, 102, f"You are not authorized to access bug #{number}.{login}")
        return 200, {"bugs": [only(self.bugs[number], query)], "faults": []}

    def attached(self, user: str | None, number: int, query: dict[str, str]) -> Answer:
        status, answer = self.bug(user, number, {})
        if status != 200:
            return status, answer
        mine = [each for each in self.attachments.values() if each["bug_id"] == number]
        return 200, {"attachments": {}, "bugs": {str(number): [only(each, query) for each in mine]}}


def only(fields: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    """Return the wanted fields."""
    wanted = query.get("include_fields")
    return {name: value for name, value in fields.items() if not wanted or name in wanted.split(",")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: TrackerModel

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        given = self.headers.get("X-BUGZILLA-API-KEY")
        user = next((name for name, key in KEYS.items() if key == given), None)
        if self.model.down:
            status, answer = 503, {"error": True, "code": 0, "message": "down for maintenance"}
        elif given is not None and user is None:
            status, answer = refusal(400, 306, "The API key you specified is invalid.")
        else:
            status, answer = self.model.answer(user, address.path, dict(parse_qsl(address.query)))
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


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
