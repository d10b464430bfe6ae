"""GitHub's REST API, as far as liftlock uses it, over real HTTP: answers are GitHub's published examples, filled in.

Every request and every answer is compared with GitHub's published description; what differs is in `wrong`. Tokens are
those of an app's installation, limited to one repository, and what a token may not do is refused as GitHub refuses it.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from github_descriptions import Description

Answer = tuple[int, Any]


@dataclass
class GitHubStandIn:
    """One app with one installation in one repository."""

    description: Description
    public_key: RSAPublicKey
    app_id: int = 4711
    installation: int = 99
    repository: int = 1296269
    full_name: str = "octocat/Hello-World"
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    reactions: list[tuple[int, str]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    """Statuses that the next requests are answered with."""
    lost: set[str] = field(default_factory=set)
    """Requests that take effect, and whose answer is lost."""
    tokens: dict[str, int] = field(default_factory=dict)

    def add_pull(self, number: int, revision: str, *, ref: str = "topic", fork: bool = False) -> None:
        """Add an open pull request."""
        pull = self.description.example("pull-request")
        # Teams in the published example lack what the published description requires of them.
        pull |= {"number": number, "state": "open", "requested_teams": []}
        pull["head"] |= {"ref": ref, "sha": revision}
        pull["head"]["repo"]["id"] = 777 if fork else self.repository
        pull["base"]["ref"] = "main"
        pull["base"]["repo"]["id"] = self.repository
        self.pulls[number] = pull

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Return status and body for a request, as GitHub would."""
        path = target.partition("?")[0]
        self.requests.append(f"{method} {target}")
        self.wrong += self.description.check_request(method, target, body)
        given = json.loads(body) if body else {}
        for pattern, verb, handler in self._routes():
            match = re.fullmatch(pattern, path)
            if match is not None and verb == method:
                refused = self._refused(path, headers)
                status, answer = refused if refused is not None else handler(*match.groups(), given)
                if refused is None:
                    self.wrong += self.description.check_answer(method, target, status, answer)
                if f"{method} {target}" in self.lost:
                    return 502, {"message": "Server Error"}
                return (
                    (self.failing.pop(0), {"message": "Server Error"}) if self.failing else (status, answer)
                )
        return 404, {"message": "Not Found"}

    def _routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        repo = f"/repos/{re.escape(self.full_name)}"
        return [
            (r"/app/installations/(\d+)/access_tokens", "POST", self._token),
            (rf"{repo}/pulls/(\d+)", "GET", self._pull),
            (rf"{repo}/issues/comments/(\d+)/reactions", "POST", self._react),
            (rf"{repo}/issues/(\d+)/comments", "GET", self._comments),
            (rf"{repo}/issues/(\d+)/comments", "POST", self._comment),
            (rf"{repo}/commits/([0-9a-f]+)/check-runs", "GET", self._checks),
            (rf"{repo}/check-runs", "POST", self._check),
            (rf"{repo}/check-runs/(\d+)", "PATCH", self._update_check),
        ]

    def _refused(self, path: str, headers: dict[str, str]) -> Answer | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if path.startswith("/app/"):
            return None if kind == "bearer" and self._is_app(token) else (401, {"message": "Bad credentials"})
        known = kind == "token" and self.tokens.get(token) == self.repository
        return None if known else (401, {"message": "Bad credentials"})

    def _is_app(self, token: str) -> bool:
        try:
            head, claims, signature = token.split(".")
            self.public_key.verify(
                _bytes(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, InvalidSignature):
            return False
        said = json.loads(_bytes(claims))
        lasts = said["exp"] - said["iat"]
        return (
            str(said["iss"]) == str(self.app_id)
            and lasts <= 600
            and json.loads(_bytes(head))["alg"] == "RS256"
        )

    def _token(self, installation: str, given: dict[str, Any]) -> Answer:
        if int(installation) != self.installation or given.get("repository_ids") != [self.repository]:
            return 404, {"message": "Not Found", "documentation_url": "", "status": "404"}
        token = f"ghs_{len(self.tokens):016d}"
        self.tokens[token] = self.repository
        ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = self.description.example("installation-token")
        return 201, answer | {"token": token, "expires_at": ends, "permissions": given["permissions"]}

    def _pull(self, number: str, _given: object) -> Answer:
        pull = self.pulls.get(int(number))
        return (200, pull) if pull is not None else (404, {"message": "Not Found"})

    def _react(self, comment: str, given: dict[str, Any]) -> Answer:
        reaction = (int(comment), given["content"])
        is_new = reaction not in self.reactions
        if is_new:
            self.reactions.append(reaction)
        return (201 if is_new else 200), self.description.example("reaction") | {"content": given["content"]}

    def _comments(self, number: str, _given: object) -> Answer:
        return 200, [each for each in self.comments if each["issue_url"].endswith(f"/issues/{number}")]

    def _comment(self, number: str, given: dict[str, Any]) -> Answer:
        comment = self.said(int(number), given["body"])
        comment["performed_via_github_app"] = {
            **self.description.example("check-run")["app"],
            "id": self.app_id,
        }
        return 201, comment

    def said(self, number: int, body: str) -> dict[str, Any]:
        """Add somebody's comment, and return it."""
        comment = self.description.example("issue-comment")
        url = f"https://api.github.com/repos/{self.full_name}/issues/{number}"
        comment |= {"id": 100 + len(self.comments), "body": body, "issue_url": url}
        comment["performed_via_github_app"] = None
        self.comments.append(comment)
        return comment

    def _checks(self, revision: str, _given: object) -> Answer:
        found = [each for each in self.checks if each["head_sha"] == revision]
        return 200, {"total_count": len(found), "check_runs": found}

    def _check(self, given: dict[str, Any]) -> Answer:
        check = self.made_check(self.app_id, given)
        return 201, check

    def made_check(self, app_id: int, given: dict[str, Any]) -> dict[str, Any]:
        """Add a check that the app made, and return it."""
        check = self.description.example("check-run") | {"conclusion": None, "completed_at": None}
        check["app"]["id"] = app_id
        check["id"] = 5000 + len(self.checks)
        self.checks.append(check)
        return self._fill(check, given)

    def _update_check(self, number: str, given: dict[str, Any]) -> Answer:
        check = next((each for each in self.checks if each["id"] == int(number)), None)
        if check is None or check["app"]["id"] != self.app_id:
            return 404, {"message": "Not Found"}
        return 200, self._fill(check, given)

    def _fill(self, check: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        check |= {key: value for key, value in given.items() if key != "output"}
        check["output"] |= given.get("output", {})
        return check


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def served(stand_in: GitHubStandIn) -> Iterator[str]:
    """Yield the address under which the stand-in answers."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, answer = stand_in.answer(self.command, self.path, headers, body)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json; charset=utf-8")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 -- the names that the server looks for

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
