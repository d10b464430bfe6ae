"""What tasks, pushers and requesters wrote is text on every page: Markdown, logs, artifacts, names, manifests."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import httpx2
import pytest

from control_plane_server import serve
from pages_data import Data, fill
from pages_world import Site, chromium
from queue_over_http import Stage, soon
from task_builders import QUEUE, document

pytestmark = pytest.mark.process
SCRIPT = "<script>document.title='owned'</script>"
IMAGE = "<img src=x onerror=\"document.title='owned'\">"
HOSTILE = f"{SCRIPT}{IMAGE}\"'><svg onload=alert(1)>"
READ = ("queue:*", "pushes:list-pushes:*", "liftlock:audit:read")
MARKDOWN = f"""# Title
{SCRIPT}
{IMAGE}
[one](javascript:alert(1)) [two](data:text/html,x) [three](vbscript:x) ![four](https://evil.example/pixel)
<a href="https://evil.example" onclick="alert(1)" style="position:fixed">five</a> [six](//evil.example)
<iframe src="https://evil.example"></iframe><form action="https://evil.example"><button>go</button></form>
"""


class Full(Site):
    """The pages, with a hostile push, task, log and artifacts."""

    stage: Stage
    task: str
    group: str
    robin: httpx2.Client


async def hostile_push(data: Data) -> str:
    await data.project()
    return await data.push(message=HOSTILE, author=HOSTILE)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    directory: Path = tmp_path_factory.mktemp("content")
    group = fill(directory, hostile_push)
    with serve(directory) as running:
        made = Full(running)
        made.stage = Stage(running)
        made.group = group
        made.person("people/robin", *READ)
        body = document(
            datetime.now(UTC),
            taskGroupId=group,
            metadata={
                "name": HOSTILE,
                "description": MARKDOWN,
                "owner": "o@example.org",
                "source": "https://example.org/x",
            },
            tags={"kind": HOSTILE[:60]},
            extra={"treeherder": {"symbol": HOSTILE}},
        )
        made.task = group
        made.stage.root.createTask(group, body)
        [claim] = made.stage.root.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w"})["tasks"]
        run = made.stage.queue(claim["credentials"])
        for name, kind in (
            ("public/page.html", "text/html"),
            ("public/x.svg", "image/svg+xml"),
            ("public/x.js", "text/javascript"),
            ("public/x.xml", "application/xhtml+xml"),
            (f"public/{IMAGE[:40]}", "text/html; charset=utf-7"),
        ):
            made.stage.store(run, group, name, HOSTILE.encode(), contentType=kind)
        log = f"plain\n{HOSTILE}\nerror: {HOSTILE}\n\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07\x1b[31m{HOSTILE}\n"
        declared = made.stage.declare(run, group, "public/logs/live_backing.log")
        made.stage.put(declared, gzip.compress(log.encode()), Content_Encoding="gzip")
        link = {
            "storageType": "link",
            "contentType": "text/plain",
            "artifact": "public/logs/live_backing.log",
        }
        run.createArtifact(group, 0, "public/logs/live.log", {**link, "expires": soon(days=1)})
        manifest = {
            "network": {"sealing": HOSTILE, "refused": [{"path": HOSTILE}]},
            "inputs": [
                {
                    "name": HOSTILE,
                    "files": [{"name": HOSTILE, "sha256": HOSTILE}],
                    "producer": {"taskId": '"><script>alert(1)</'},
                }
            ],
        }
        made.stage.store(run, group, "public/inputs.json", json.dumps(manifest).encode())
        run.createArtifact(
            group,
            0,
            "public/elsewhere",
            {
                "storageType": "reference",
                "contentType": "text/html",
                "url": "https://evil.example/x",
                "expires": soon(days=1),
            },
        )
        run.reportCompleted(group, 0)
        made.robin = made.signed_in("people/robin")
        yield made
        made.close()


class Parts(HTMLParser):
    """What a browser would see: all elements with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def shown(full: Full, path: str) -> str:
    """Return the page's own part; it must be an answer that is no error."""
    answer = full.robin.get(path)
    assert answer.status_code == 200, answer.text
    return "<main" + answer.text.split("<main")[1]


@pytest.mark.parametrize(
    "path",
    [
        "/pushes",
        "/groups/{}",
        "/tasks/{}",
        "/tasks/{}/definition",
        "/tasks/{}/provenance",
        "/tasks/{}/runs/0/log",
        "/tasks/{}/runs/0/log?q=onerror",
        "/audit?subject=task",
    ],
)
def test_what_others_wrote_is_text_on_every_page(full: Full, path: str) -> None:
    for tag, attributes in Parts(shown(full, path.format(full.task))).found:
        assert tag not in ("script", "img", "iframe", "object", "embed", "style", "base", "meta"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", (tag, value)
            if name in ("href", "src", "action"):
                assert re.match(r"(/(?!/)|#|https://example\.org/|\?)", value or ""), (tag, value)


def test_markdown_of_a_task_can_do_nothing(full: Full) -> None:
    described = shown(full, f"/tasks/{full.task}").split('class="markdown">')[1].split("</div>")[0]
    assert described.startswith("<h1>Title</h1>")
    found = Parts(described).found
    assert {tag for tag, _ in found} <= {"h1", "p", "a"}
    for tag, attributes in found:
        if tag == "a":
            assert set(attributes) <= {"href", "rel"}
            assert attributes["rel"] == "noopener noreferrer nofollow"
            assert re.match(r"https?://", attributes.get("href") or "https://"), attributes


@pytest.mark.parametrize("name", ["public/page.html", "public/x.svg", "public/x.js", "public/x.xml"])
def test_an_artifact_is_a_download_that_no_page_shows(full: Full, name: str) -> None:
    answer = full.robin.get(f"/tasks/{full.task}/runs/0/artifacts/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"


def test_an_artifact_that_is_elsewhere_redirects_nobody(full: Full) -> None:
    answer = full.robin.get(f"/tasks/{full.task}/runs/0/artifacts/public/elsewhere")
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert "Nobody has checked it" in answer.text
    assert 'rel="noopener noreferrer nofollow"' in answer.text


def test_a_log_line_is_sent_to_scripts_as_escaped_text_with_known_classes(full: Full) -> None:
    http = full.robin
    lines = http.get(f"/tasks/{full.task}/runs/0/log/lines?start=0&count=10").json()["lines"]
    assert len(lines) == 4
    for line in lines:
        assert "<script" not in line
        for tag in re.findall(r"<[^>]*>", line):
            assert re.fullmatch(r'</span>|<span class="(a-[a-z-]+ ?)+">', tag), tag
    assert "javascript:" not in "".join(lines).replace("javascript:alert(1)", "", 0) or "href" not in "".join(
        lines
    )


def test_a_browser_runs_nothing_of_it(full: Full) -> None:
    """In Chromium: no script of theirs runs, and nothing is fetched from elsewhere."""
    with chromium() as browser:
        context = browser.new_context(base_url=full.url)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(full.link("people/robin"))
        page.get_by_role("button", name="Sign in as").click()
        for path in (
            "/pushes",
            f"/groups/{full.task}",
            f"/tasks/{full.task}",
            f"/tasks/{full.task}/runs/0/log",
        ):
            page.goto(path)
            page.wait_for_load_state("load")
            assert page.title() != "owned", path
        context.close()
    assert [url for url in asked if not url.startswith(full.url)] == []
