"""tc-admin, unmodified and behind a proxy that signs as in a task, generates, compares and applies roles, hooks and pools; a second time there is nothing to do."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import taskcluster

import third_party_programs
from control_plane_server import ROOT, Served
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request

pytestmark = [pytest.mark.process, pytest.mark.soak]

WHO = Credentials(ROOT.client_id, ROOT.access_token)
FOLDER = third_party_programs.LOCKS / "tc_admin"


@pytest.fixture
def proxy(served: Served) -> Iterator[str]:
    """Signs for root whatever it is sent: tc-admin takes no root URL with a port, but the address of such a proxy."""
    netloc = urlsplit(served.root_url).netloc

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            url = served.root_url + self.path
            signed = sign_request(WHO, self.command, url, ts=int(time.time()), nonce=taskcluster.slugId()[:8])
            connection = http.client.HTTPConnection(netloc, timeout=60)
            headers = {"authorization": signed, "content-type": "application/json"}
            connection.request(self.command, self.path, body or None, headers)
            got = connection.getresponse()
            content = got.read()
            connection.close()
            self.send_response(got.status)
            self.send_header("content-type", got.getheader("content-type", "application/json"))
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(10)


def tc_admin(proxy: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tc-admin in the folder of its configuration."""
    given = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "TASKCLUSTER_ROOT_URL": "http://localhost",
        "TASKCLUSTER_PROXY_URL": proxy,
        **environment,
    }
    program = third_party_programs.python_programs("tc_admin") / "tc-admin"
    return subprocess.run(
        [program, *arguments], cwd=FOLDER, env=given, capture_output=True, text=True, timeout=120, check=False
    )


def test_tc_admin_applies_a_configuration_and_then_finds_nothing_to_do(served: Served, proxy: str) -> None:
    auth, hooks = taskcluster.Auth(served.options), taskcluster.Hooks(served.options)
    auth.createRole("other", {"description": "of somebody else", "scopes": []})
    generated = tc_admin(proxy, "generate", "--json")
    assert generated.returncode == 0, generated.stderr
    assert '"roleId": "managed/one"' in generated.stdout
    before = tc_admin(proxy, "diff", "--ids-only")
    assert "+ Hook=managed/nightly" in before.stdout, before.stderr
    applied = tc_admin(proxy, "apply")
    assert applied.returncode == 0, applied.stderr + applied.stdout
    made = hooks.hook("managed", "nightly")
    assert made["schedule"] == ["0 0 3 * * *", "0 30 3 * * 1-5"]
    assert made["bindings"] == [
        {"exchange": "exchange/taskcluster-queue/v1/task-completed", "routingKeyPattern": "route.x.#"}
    ]
    assert auth.expandScopes({"scopes": ["assume:managed/px"]})["scopes"] == [
        "assume:managed/px",
        "secrets:get:managed/x",
    ]
    after = tc_admin(proxy, "diff", "--ids-only")
    assert (after.returncode, after.stdout.strip()) == (0, ""), after.stderr
    again = tc_admin(proxy, "apply")
    assert again.returncode == 0, again.stderr
    assert "Updating" not in again.stdout
    assert "Creating" not in again.stdout

    widened = tc_admin(proxy, "diff", EXTRA_SCOPE="queue:create-task:highest:managed/*")
    assert re.search(r"^\+.*queue:create-task:highest:managed/\*", widened.stdout, re.MULTILINE), (
        widened.stdout
    )
    auth.createRole("managed/by-hand", {"description": "", "scopes": []})
    assert "Deleting Role=managed/by-hand" in tc_admin(proxy, "apply").stdout
    assert [one["roleId"] for one in auth.listRoles()] == [
        "hook-id:managed/nightly",
        "managed/one",
        "managed/p*",
        "other",
    ]
