"""A small stand-in for the task's API proxy, and what a task of the example project sees in its sandbox.

It keeps what taskgraph creates and answers from that. It decides nothing: who may do what is shown on the real
system, in test_demo.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jsone
import yaml

from liftlock.domain.tasks.task_graph import check_graph, planned

ROOT = Path(__file__).resolve().parents[2]
WIDGET = ROOT / "examples/widget"
WHEELHOUSE = ROOT / ".cache/wheelhouse"
IDENTITY = "https://github.com/liftlock-demo/widget"
ROLE = "assume:repo:github.com/liftlock-demo/widget"


def unpack_wheels(lock: Path, into: Path) -> None:
    """Unpack what the lock names into one importable tree, as the worker does."""
    pins = [line.split()[0] for line in lock.read_text().splitlines() if "==" in line and line[0] != " "]
    for pin in pins:
        name, version = pin.split("==")
        prefix = f"{name.replace('-', '_')}-{version}-".lower()
        [wheel] = [one for one in WHEELHOUSE.glob("*.whl") if one.name.lower().startswith(prefix)]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)


def git(directory: Path, *arguments: str) -> str:
    """Run git without the user's configuration; return its output."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": f"dev{at}"
            for who in ("AUTHOR", "COMMITTER")
            for what, at in (("NAME", ""), ("EMAIL", "@example.com"))
        },
    }
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def checkout(into: Path) -> str:
    """Make a repository of the example's tracked content; return its revision."""
    into.mkdir(parents=True)
    tracked = git(
        ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "examples/widget"
    ).split("\0")
    for path in filter(None, tracked):
        target = into / Path(path).relative_to("examples/widget")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / path).read_bytes())
    git(into, "init", "-q", "-b", "main")
    git(into, "add", "-A")
    git(into, "commit", "-q", "-m", "Convert units")
    return git(into, "rev-parse", "HEAD")


def render(**context: Any) -> Any:
    """Render .taskcluster.yml's first task for a context, with the reference implementation of JSON-e."""
    template = yaml.safe_load((WIDGET / ".taskcluster.yml").read_text())["tasks"][0]
    return jsone.render(template, {"now": "2026-01-31T12:00:00.000Z", **context})


def repository() -> dict[str, Any]:
    return {"url": IDENTITY, "base_url": IDENTITY, "project": "widget", "level": "3"}


def push(revision: str, number: int = 1) -> dict[str, Any]:
    return {
        "revision": revision,
        "base_revision": "0" * 40,
        "branch": "main",
        "owner": "dev@example.com",
        "pushlog_id": str(number),
        "pushdate": 1769860800,
    }


@dataclass
class Api:
    """What was created and uploaded so far; requests in the order in which they came."""

    scopes: list[str] = field(default_factory=list)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    artifacts: dict[tuple[str, str], bytes] = field(default_factory=dict)
    index: dict[str, str] = field(default_factory=dict)
    pushes: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    purged: list[tuple[str, str]] = field(default_factory=list)
    decided_again: list[int] = field(default_factory=list)
    url: str = ""

    def upload(self, task_id: str, directory: Path) -> None:
        """Publish the files of a task's `artifacts/` as public/…"""
        for path in directory.rglob("*"):
            if path.is_file():
                self.artifacts[task_id, f"public/{path.relative_to(directory)}"] = path.read_bytes()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Return status and JSON for a request to `/api/<service>/v1/<rest>`."""
        _, _, service, _, *rest = [unquote(part) for part in path.split("/")]
        match (service, method, rest):
            case ("queue", "PUT", ["task", task_id]):
                self.tasks[task_id] = body
                return 200, {"status": {"taskId": task_id, "state": "unscheduled"}}
            case ("queue", "GET", ["task", task_id]):
                return (
                    (200, self.tasks[task_id])
                    if task_id in self.tasks
                    else (404, {"message": "no such task"})
                )
            case ("queue", "GET", ["task-group", group, "list"]):
                members = [
                    {"task": t, "status": {"taskId": i}}
                    for i, t in self.tasks.items()
                    if t["taskGroupId"] == group
                ]
                return 200, {"taskGroupId": group, "tasks": members}
            case ("queue", "POST", ["tasks", "status"]):
                known = [i for i in body["taskIds"] if i in self.tasks]
                return 200, {
                    "statuses": [
                        {"taskId": i, "status": {"state": self.states.get(i, "pending")}} for i in known
                    ]
                }
            case ("queue", "GET", ["task", task_id, "artifacts", *name]):
                found = (task_id, "/".join(name)) in self.artifacts
                url = f"{self.url}/raw/{task_id}/{'/'.join(name)}"
                return (
                    (303, {"storageType": "s3", "url": url})
                    if found
                    else (404, {"message": "no such artifact"})
                )
            case ("index", "GET", ["task", namespace]):
                known_id = self.index.get(namespace)
                return (200, {"taskId": known_id}) if known_id else (404, {"message": "not indexed"})
            case ("index", "GET" | "POST", ["tasks", namespace]):
                under = [i for name, i in self.index.items() if name.startswith(f"{namespace}.")]
                return 200, {"tasks": [{"taskId": i, "expires": "2027-01-31T12:00:00.000Z"} for i in under]}
            case ("auth", "GET", ["scopes", "current"]):
                return 200, {"scopes": self.scopes}
            case ("pushes", "GET", ["project", "widget", "pushes"]):
                return 200, {"pushes": self.pushes_for(query)}
        return self.answer_request_for_more(method, [service, *rest], body)

    def answer_request_for_more(self, method: str, path: list[str], body: Any) -> tuple[int, Any]:
        """Return status and JSON for what actions ask for that is no task."""
        match (method, path):
            case ("POST", ["purge-cache", "purge-cache", pool]):
                self.purged.append((pool, body["cacheName"]))
                return 200, {}
            case ("POST", ["pushes", "project", "widget", "push", number, "decide-again"]):
                self.decided_again.append(int(number))
                return 200, {"taskId": "AGAIN"}
        return 501, {"message": f"the stand-in has no {method} {'/'.join(path)}"}

    def check(self, tasks: Any) -> tuple[int, Any]:
        """Check a graph as the queue does."""
        problems = check_graph(planned(tasks), self.tasks)
        return (400, {"message": "; ".join(problems)}) if problems else (200, {"tasks": len(tasks)})

    def pushes_for(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        """Return pushes before `beforeId`, the newest first."""
        before, branch = int(query["beforeId"][0]), query["branch"][0]
        found = [one for one in self.pushes if one["id"] < before and one["branch"] == branch]
        return sorted(found, key=lambda one: -one["id"])[: int(query["limit"][0])]


class Proxy:
    """Serves an Api on an ephemeral port of 127.0.0.1 until it is closed."""

    def __init__(self, api: Api) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                parts = urlsplit(self.path)
                api.requests.append(f"{self.command} {parts.path}")
                if parts.path.startswith("/raw/"):
                    task_id, name = unquote(parts.path[5:]).split("/", 1)
                    return self.reply(200, api.artifacts[task_id, name])
                given = json.loads(body or b"null")
                if parts.path.endswith("/check-task-graph"):
                    status, answer = api.check(given["tasks"])
                else:
                    status, answer = api.answer(self.command, parts.path, parse_qs(parts.query), given)
                return self.reply(status, json.dumps(answer).encode())

            do_GET = do_PUT = do_POST = serve  # noqa: N815 - names that http.server demands

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        api.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def run_task(
    task: dict[str, Any], task_id: str, api: Api, build: Path, taskgraph: Path
) -> subprocess.CompletedProcess[str]:
    """Run a rendered task's commands where the checkout is `build/repo`, with nothing of this environment.

    Returns the last command's result, or that of the first that failed.
    """
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(build),
        "LANG": "C.UTF-8",
        "TASK_ID": task_id,
        "TASKCLUSTER_PROXY_URL": api.url,
        **task["payload"]["env"],
        "PYTHONPATH": str(taskgraph),
    }
    for command in task["payload"]["command"]:
        done = subprocess.run(
            command,
            cwd=build,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            break
    return done


@dataclass
class Widget:
    """A checkout of the example where its tasks run, against a stand-in."""

    api: Api
    build: Path
    taskgraph: Path
    revision: str
    group: str = "GROUP"

    @property
    def repo(self) -> Path:
        return self.build / "repo"

    def decide(self, number: int = 1) -> dict[str, dict[str, Any]]:
        """Run the decision task of a push; return what it created, by task id."""
        context = {"push": push(self.revision, number), "repository": repository()}
        task = render(tasks_for="github-push", ownTaskId=self.group, taskGroupId=self.group, **context)
        done = run_task(task, self.group, self.api, self.build, self.taskgraph)
        assert done.returncode == 0, done.stdout
        self.api.upload(self.group, self.repo / "artifacts")
        for route in task["routes"]:
            self.api.index[route.removeprefix("index.")] = self.group
        return dict(self.api.tasks)

    def act(
        self, name: str, *, task_id: str | None = None, given: Any = None, permission: str = "generic"
    ) -> tuple[dict[str, dict[str, Any]], subprocess.CompletedProcess[str]]:
        """Run an action of actions.json as its hook would; return what it created and how it ended."""
        before = set(self.api.tasks)
        document = json.loads(self.api.artifacts[self.group, "public/actions.json"])
        [action] = [one for one in document["actions"] if one["name"] == name]
        payload = action["hookPayload"]["decision"]
        repo_scope = f"{ROLE}:action:{permission}"
        self.api.scopes = [repo_scope]
        task = render(
            tasks_for="action",
            push={**payload["push"], "pushdate": 0},
            repository=payload["repository"],
            action={**payload["action"], "repo_scope": repo_scope, "action_perm": permission},
            input=given,
            taskId=task_id,
            taskGroupId=self.group,
            ownTaskId="ACTION",
        )
        done = run_task(task, "ACTION", self.api, self.build, self.taskgraph)
        return {i: self.api.tasks[i] for i in self.api.tasks if i not in before}, done
