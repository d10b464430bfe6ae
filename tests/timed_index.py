"""A package index that says when each file was uploaded: the simple API's JSON, version 1.1, over HTTP on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(slots=True)
class TimedIndex:
    """`files`: project → file → content and upload time; `asked`: the paths that were asked for, in order."""

    files: dict[str, dict[str, tuple[bytes, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def simple(self) -> str:
        return f"http://{self.place}/simple"

    def upload(self, project: str, version: str, when: str, *, requires: tuple[str, ...] = ()) -> str:
        """Add a wheel of that version, uploaded at `when`; return its sha256."""
        name, content = wheel(project, version, requires)
        self.files.setdefault(project, {})[name] = (content, when)
        return hashlib.sha256(content).hexdigest()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Return media type and content of what is asked for."""
        kind, _, rest = path.strip("/").partition("/")
        project, _, name = rest.partition("/")
        known = self.files.get(project)
        if known is None:
            return None
        if kind == "files":
            return ("application/octet-stream", known[name][0]) if name in known else None
        listed = [self._entry(project, each, *known[each]) for each in sorted(known)]
        said: dict[str, Any] = {"meta": {"api-version": "1.1"}, "name": project, "files": listed}
        return JSON, json.dumps(said).encode()

    def _entry(self, project: str, name: str, content: bytes, when: str) -> dict[str, Any]:
        return {
            "filename": name,
            "url": f"http://{self.place}/files/{project}/{name}",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "size": len(content),
            "upload-time": when,
        }


def wheel(project: str, version: str, requires: tuple[str, ...] = ()) -> tuple[str, bytes]:
    """Return the name and the content of a wheel that pip accepts."""
    info = f"{project}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = {
        f"{project}.py": f"VERSION = {version!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n{needs}".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')},{len(content)}\n"
        for path, content in files.items()
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), content)
    return f"{project}-{version}-py3-none-any.whl", made.getvalue()


@contextlib.contextmanager
def timed_index() -> Iterator[TimedIndex]:
    """Serve an empty index on a free port."""
    index = TimedIndex()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            index.asked.append(self.path)
            found = index.answer(self.path)
            media, content = ("text/plain", b"") if found is None else found
            self.send_response(404 if found is None else 200)
            self.send_header("content-type", media)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
