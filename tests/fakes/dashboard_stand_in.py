"""A dashboard of another origin, for tests: a page that asks for credentials as programs in browsers do, with PKCE."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PAGE = """<!doctype html><title>Dashboard</title><h1>Dashboard</h1><button id=ask>Sign in</button><pre id=said></pre>
<script>
const {root, client} = TOLD, here = location.origin + "/back";
const base64url = (bytes) => btoa(String.fromCharCode(...bytes))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
async function ask() {
  sessionStorage.verifier = random();
  sessionStorage.state = random();
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(sessionStorage.verifier));
  location = root + "/login/oauth/authorize?" + new URLSearchParams({response_type: "code", client_id: client,
    redirect_uri: here, scope: "hooks:trigger-hook:demo/*", expires: "3 days", state: sessionStorage.state,
    code_challenge: base64url(new Uint8Array(digest)), code_challenge_method: "S256"});
}
async function back(said) {
  if (said.get("state") !== sessionStorage.state) return "another state";
  if (said.get("error")) return said.get("error");
  const body = new URLSearchParams({grant_type: "authorization_code", code: said.get("code"), client_id: client,
    redirect_uri: here, code_verifier: sessionStorage.verifier});
  const token = await (await fetch(root + "/login/oauth/token", {method: "POST", body})).json();
  const headers = {"Authorization": "Bearer " + token.access_token, "Content-Type": "application/json"};
  return JSON.stringify(await (await fetch(root + "/login/oauth/credentials", {headers})).json());
}
document.querySelector("#ask").onclick = ask;
if (location.pathname === "/back")
  back(new URLSearchParams(location.search)).then((said) => { document.querySelector("#said").textContent = said; });
</script>
"""


@contextmanager
def dashboard(client_id: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where it is, and what it is to be told: `root`, the root URL to ask at."""
    told = {"client": client_id, "root": ""}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _PAGE.replace("TOLD", json.dumps(told)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
