"""What scriptworker's verifier is shown: a project, a forge that knows it, and liftlock, as it is or tampered with."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

IDENTITY = "https://github.com/liftlock-demo/widget"
ROLE = "repo:github.com/liftlock-demo/widget:branch:main"
QUEUE = "local/unprivileged"
SIGNING_QUEUE = "scriptworker-k8s/signing"
Answer = tuple[int, bytes]
Tamper = Callable[[str, bytes], bytes]

TASKCLUSTER_YML = """\
version: 1
tasks:
  - taskId: '${ownTaskId}'
    taskGroupId: '${ownTaskId}'
    schedulerId: demo-level-3
    provisionerId: local
    workerType: unprivileged
    priority: low
    retries: 5
    requires: all-completed
    created: {$fromNow: ''}
    deadline: {$fromNow: '1 day'}
    expires: {$fromNow: '2 days'}
    scopes: ['assume:repo:github.com/liftlock-demo/widget:branch:main']
    metadata:
      name: Decision Task
      description: Decides
      owner: '${event.pusher.email}'
      source: '${event.repository.html_url}/raw/${event.after}/.taskcluster.yml'
    tags: {worker-implementation: generic-worker}
    extra: {tasks_for: '${tasks_for}'}
    payload:
      maxRunTime: 300
      features: {taskclusterProxy: true}
      env:
        WIDGET_HEAD_REPOSITORY: '${event.repository.html_url}'
        WIDGET_HEAD_REF: '${event.ref}'
        WIDGET_HEAD_REV: '${event.after}'
        WIDGET_BASE_REV: '${event.before}'
      inputs:
        - name: repo
          git: {url: '${event.repository.html_url}', revision: '${event.after}'}
          unpack: {to: /build/repo}
      command: [[python3, repo/decide.py]]
      artifacts: [{name: public, path: out, type: directory}]
"""

DECIDE = """\
import base64, datetime, json, os, pathlib, urllib.request, uuid

def slugid():
    raw = bytearray(uuid.uuid4().bytes)
    raw[0] &= 0x7F
    return base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")

group, source = os.environ["TASK_ID"], os.environ["WIDGET_HEAD_REPOSITORY"] + "/raw/" + os.environ["WIDGET_HEAD_REV"]
build, signing = slugid(), slugid()

def task(name, queue, payload, dependencies, implementation):
    provisioner, worker_type = queue.split("/")
    return {
        "provisionerId": provisioner, "workerType": worker_type, "dependencies": dependencies, "priority": "low",
        "created": {"relative-datestamp": "0 seconds"}, "deadline": {"relative-datestamp": "1 day"},
        "expires": {"relative-datestamp": "2 days"}, "scopes": [], "routes": [], "extra": {"parent": group},
        "metadata": {"name": name, "description": name, "owner": "robin@example.com", "source": source + "/x"},
        "tags": {"worker-implementation": implementation} if implementation else {}, "payload": payload,
    }

made = {"command": [["sh", "-c", "echo made; date +%N >made.txt"]], "maxRunTime": 60,
        "artifacts": [{"name": "public/made.txt", "path": "made.txt", "type": "file"}]}
upstream = {"upstreamArtifacts": [{"taskId": build, "taskType": "build", "paths": ["public/made.txt"], "formats": []}]}
graph = {build: task("build", "local/unprivileged", made, [], "generic-worker"),
         signing: task("signing", "scriptworker-k8s/signing", upstream, [build], None)}
out = pathlib.Path("out")
out.mkdir()
out.joinpath("task-graph.json").write_text(json.dumps({i: {"label": t["metadata"]["name"], "task": t} for i, t in graph.items()}))
out.joinpath("actions.json").write_text(json.dumps({"version": 1, "actions": [], "variables": {}}))
out.joinpath("parameters.yml").write_text("{}")
now = datetime.datetime.now(datetime.timezone.utc)
times = {"created": 0, "deadline": 1, "expires": 2}
for task_id, definition in graph.items():
    stamps = {k: (now + datetime.timedelta(days=d)).strftime("%Y-%m-%dT%H:%M:%S.000Z") for k, d in times.items()}
    dependencies = definition["dependencies"] or [group]
    body = definition | stamps | {"taskGroupId": group, "schedulerId": "demo-level-3", "dependencies": dependencies}
    url = os.environ["TASKCLUSTER_PROXY_URL"] + "/api/queue/v1/task/" + task_id
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"}, method="PUT")
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        raise SystemExit(error.read().decode())
"""

_REPOSITORY_URLS = (
    "archive assignees blobs branches collaborators comments commits compare contents contributors deployments"
    " downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels"
    " languages merges milestones notifications pulls releases stargazers statuses subscribers subscription tags"
    " teams trees"
)
_REPOSITORY_FACTS: dict[str, Any] = {
    **dict.fromkeys(("archived", "disabled", "has_downloads", "has_issues", "has_pages", "has_wiki"), False),
    **dict.fromkeys(("forks_count", "network_count", "open_issues_count", "size", "stargazers_count"), 0),
    **dict.fromkeys(("subscribers_count", "watchers_count", "forks", "open_issues", "watchers"), 0),
    **dict.fromkeys(("created_at", "pushed_at", "updated_at"), "2026-01-01T00:00:00Z"),
    **dict.fromkeys(("clone_url", "git_url", "ssh_url", "svn_url"), IDENTITY),
    "default_branch": "main",
    "homepage": "",
    "language": "Python",
    "mirror_url": None,
    "license": None,
    "has_projects": False,
    "allow_merge_commit": True,
}
_USER_URLS = (
    "avatar events followers following gists html organizations received_events repos starred subscriptions"
)


@contextmanager
def serving(answer: Callable[[str], Answer]) -> Iterator[str]:
    """Serve GETs on the loopback; `answer` is asked with path and query. Yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answer(self.path)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def forge(revision: str, template: str = TASKCLUSTER_YML) -> Iterator[str]:
    """A forge with one repository, one commit of `robin@example.com`, and one file. Yields its address."""
    address: list[str] = []

    def answer(path: str) -> Answer:
        here = f"{address[0]}/repos/liftlock-demo/widget"
        user = {f"{name}_url": here for name in _USER_URLS.split()}
        user |= {
            "gravatar_id": "",
            "id": 1,
            "login": "robin",
            "type": "User",
            "url": here,
            "site_admin": False,
        }
        where = unquote(urlsplit(path).path).removeprefix("/repos/liftlock-demo/widget")
        found: dict[str, Any]
        match where:
            case "":
                found = {f"{name}_url": here for name in _REPOSITORY_URLS.split()} | {
                    "url": here,
                    "owner": user,
                }
                found |= {"description": "", "fork": False, "full_name": "liftlock-demo/widget", "id": 1}
                found |= {"html_url": IDENTITY, "name": "widget", "private": False} | _REPOSITORY_FACTS
            case "/contents/.taskcluster.yml":
                content = base64.b64encode(template.encode()).decode()
                found = {"content": content, "encoding": "base64", "name": ".taskcluster.yml", "type": "file"}
                found |= {"path": ".taskcluster.yml", "sha": "0" * 40, "size": len(template), "_links": {}}
                found |= dict.fromkeys(("url", "download_url", "git_url", "html_url"), here)
            case _ if where.startswith("/commits/"):
                who = {"name": "Robin", "email": "robin@example.com", "date": "2026-01-01T00:00:00Z"}
                tree = {"sha": "0" * 40, "url": here}
                commit = {"url": here, "author": who, "committer": who, "message": "m", "tree": tree}
                commit |= {"comment_count": 0, "verification": {}}
                found = {"url": here, "sha": revision, "files": [], "author": user, "committer": user}
                found |= {
                    "stats": {"additions": 0, "deletions": 0, "total": 0},
                    "commit": commit,
                    "parents": [],
                }
                found |= {"comments_url": here, "html_url": here}
            case _:
                return 404, b"{}"
        return 200, json.dumps(found).encode()

    with serving(answer) as running:
        address.append(running)
        yield running


@contextmanager
def tampered(root_url: str, tamper: Tamper) -> Iterator[str]:
    """Liftlock as it answers GETs, through somebody who changes answers. Yields the address."""

    def answer(path: str) -> Answer:
        request = urllib.request.Request(root_url + path)
        try:
            with urllib.request.urlopen(request, timeout=30) as found:
                content = found.read()
                if found.headers.get("content-encoding") == "gzip":
                    content = gzip.decompress(content)
                return found.status, tamper(unquote(path), content)
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    with serving(answer) as running:
        yield running
