"""Events over real HTTP, for tests: a listener, and a receiver of webhooks that answers as it is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import taskcluster

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import make_bewit

EXCHANGE = "exchange/taskcluster-queue/v1/"


def bindings(*topics: str, pattern: str = "#") -> list[dict[str, str]]:
    """Return bindings to these topics."""
    return [{"exchange": EXCHANGE + topic, "routingKeyPattern": pattern} for topic in topics]


class Stream:
    """A listener on a link that is signed, as a page's EventSource has it; iterating yields (kind, id, data)."""

    def __init__(
        self,
        root_url: str,
        who: Credentials | None,
        asked: list[dict[str, str]],
        *,
        last_id: str | None = None,
        lasts_s: int = 600,
    ) -> None:
        query = "bindings=" + quote(json.dumps({"bindings": asked}))
        url = f"{root_url}/api/events/v1/connect?{query}"
        if who is not None:
            url = make_bewit(who, url, expires=int(time.time()) + lasts_s)
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        self.connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        self.answer = self.connection.getresponse()
        self.last_id = ""

    def __iter__(self) -> Iterator[tuple[str, str, Any]]:
        kind, data = "", None
        while line := self.answer.readline():
            text = line.decode().rstrip("\n")
            if text == "":
                yield kind, self.last_id, data
                kind, data = "", None
            elif text.startswith("id: "):
                self.last_id = text[4:]
            elif text.startswith("event: "):
                kind = text[7:]
            elif text.startswith("data: "):
                data = json.loads(text[6:])

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the data of the next `count` messages."""
        found: list[dict[str, Any]] = []
        for kind, _, data in self:
            if kind == "message":
                found.append(data)
                if len(found) == count:
                    break
        return found

    def error(self) -> dict[str, Any]:
        """Return what a refused request was answered."""
        found: dict[str, Any] = json.loads(self.answer.read())
        self.close()
        return found

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@dataclass(slots=True)
class Received:
    """One request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def topic(self) -> str:
        return str(self.event["exchange"]).removeprefix(EXCHANGE)

    def verifies(self, secret: str) -> bool:
        """Tell whether the request is signed with `secret`, as any library for such webhooks does."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        mac = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return f"v1,{mac}" in self.headers["webhook-signature"].split(" ")


@dataclass(slots=True)
class Receiver:
    """Gets webhooks. `answer` says the status for a request."""

    place: str = ""
    got: list[Received] = field(default_factory=list)
    answer: Callable[[Received], int] = field(default=lambda _: 204)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://{self.place}/events"

    def wait(self, enough: Callable[[list[Received]], bool], seconds: float = 20) -> list[Received]:
        """Return what has come as soon as it is enough."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: enough(self.got), seconds), [one.topic for one in self.got]
            return list(self.got)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Yield a receiver on the loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Received(self.path, headers, body)
            status = receiver.answer(one)
            with receiver.arrived:
                receiver.got.append(one)
                receiver.arrived.notify_all()
            self.send_response(status)
            self.send_header("content-length", "0")
            if status in (301, 302, 307, 308):
                self.send_header("location", receiver.url + "/elsewhere")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.place = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Events(taskcluster.client.BaseClient):
    """The events service on the official client's base, as its generator would make it."""

    classOptions: ClassVar[dict[str, str]] = {}  # noqa: N815 -- the official client's name
    serviceName = "events"  # noqa: N815 -- the official client's name
    apiVersion = "v1"  # noqa: N815 -- the official client's name
    funcinfo: ClassVar[dict[str, Any]] = {
        "createWebhook": {
            "args": ["webhookId"],
            "input": "v1/create-webhook-request.json#",
            "method": "put",
            "name": "createWebhook",
            "route": "/webhooks/<webhookId>",
            "stability": "stable",
        },
        **{
            name: {
                "args": args,
                "method": method,
                "name": name,
                "route": route,
                "stability": "stable",
                "query": [],
            }
            for name, method, route, args in (
                ("webhook", "get", "/webhooks/<webhookId>", ["webhookId"]),
                ("removeWebhook", "delete", "/webhooks/<webhookId>", ["webhookId"]),
                ("listWebhooks", "get", "/webhooks", []),
            )
        },
    }

    def create(self, name: str, url: str, asked: list[dict[str, str]]) -> dict[str, Any]:
        """Register a webhook."""
        body = {"url": url, "bindings": asked}
        made: dict[str, Any] = self._makeApiCall(self.funcinfo["createWebhook"], name, body)
        return made

    def show(self, name: str) -> dict[str, Any]:
        """Return a webhook's state."""
        found: dict[str, Any] = self._makeApiCall(self.funcinfo["webhook"], name)
        return found

    def remove(self, name: str) -> None:
        """Remove a webhook."""
        self._makeApiCall(self.funcinfo["removeWebhook"], name)

    def all(self) -> list[str]:
        """Return the ids of all webhooks."""
        return [one["webhookId"] for one in self._makeApiCall(self.funcinfo["listWebhooks"])["webhooks"]]
