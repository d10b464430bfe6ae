"""Pages with 10,000 tasks in one group and 1,000 pushes: server time, first contentful paint, bytes, and a log line's way.

Limits: every page within 50 ms at the median, painted within 500 ms on loopback, all assets together within 150 kB
compressed, and a log line on an open page within 200 ms after it was written. The server is a process of its own; the
clock is that of whoever waits. Exit status 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import httpx2
import taskcluster
from playwright.sync_api import sync_playwright

from control_plane_server import Served, serve
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request
from liftlock.web.pages.rendering import ASSETS
from operations_data import OperationData, operations_file
from pages_data import Data, fill, wide_plan
from pages_world import CHROMIUM, DESKTOP, Site
from queue_over_http import Stage

TASKS, PUSHES, GROUPS = 10_000, 1_000, 40
FILE = operations_file({}, publish_widget={"approvals": {"need": 1}})
LOG = "public/logs/live_backing.log"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its samples and its limit."""

    name: str
    unit: str
    samples: list[float]
    limit: float

    @property
    def holds(self) -> bool:
        """Tell whether the median is within the limit."""
        return statistics.median(self.samples) <= self.limit


async def _data(data: Data) -> dict[str, str]:
    """Write the pushes, a large group and some small ones; return ids by what they are for."""
    for number in range(10):
        await data.project(f"project-{number}")
    await data.project("widget")
    for number in range(PUSHES - GROUPS - 1):
        await data.push(f"project-{number % 10}", decision="none")
    large = await data.push("widget")
    ids = await data.group(large, wide_plan(TASKS), progress=2)
    small: list[str] = []
    for number in range(GROUPS):
        small = await data.group(await data.push("widget"), progress=number % 4)
    made = OperationData(data, FILE)
    for _ in range(60):
        await made.make("publish-widget", "done")
    waiting = await made.make("publish-widget", "waiting")
    return {
        "large": large,
        "task": ids[5_000],
        "small": small[0],
        "signing": small[11],
        "operation": waiting.operation_id,
    }


def _serve(folder: str) -> None:
    """Serve what was written into `folder` until standard input ends: run as a process of its own."""
    with serve(Path(folder), operations=FILE) as served:
        sys.stdout.write(f"{served.root_url}\n")
        sys.stdout.flush()
        sys.stdin.read()


@contextlib.contextmanager
def _world() -> Iterator[tuple[Site, dict[str, str]]]:
    with tempfile.TemporaryDirectory(prefix="liftlock-bench-pages-") as folder:
        ids = fill(Path(folder), _data)
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            nobody: Any = None
            yield Site(Served(url, Path(folder), nobody)), ids
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def _paths(ids: dict[str, str], row: str) -> dict[str, str]:
    return {
        "pushes": "/pushes",
        "pushes, an old page": "/pushes?project=project-3",
        "pushes, by author": "/pushes?owner=robin",
        "group of 10,000": f"/groups/{ids['large']}",
        "group of 10,000, a kind": f"/groups/{ids['large']}?kind=build",
        "group of 10,000, failed": f"/groups/{ids['large']}?state=running",
        "group of 13": f"/groups/{ids['small']}",
        "task": f"/tasks/{ids['task']}",
        "task's definition": f"/tasks/{ids['task']}/definition",
        "provenance": f"/tasks/{ids['signing']}/provenance",
        "operations": "/operations",
        "operation": f"/operations/{ids['operation']}",
        "ask for an operation": "/operations/ask/publish-widget",
        "audit": "/audit",
        "audit row": f"/audit/{row}",
        "checkpoints": "/audit/checkpoints",
        "hooks": "/hooks",
        "access": "/access?need=queue:create-task:low:x",
        "account": "/account",
        "configuration": "/configuration",
        "gate": "/gate",
        "sign in": "/sign-in",
    }


def server_times(site: Site, ids: dict[str, str], rounds: int) -> list[Figure]:
    """Return how long each page takes over one connection; the first request of each is not counted."""
    http = site.signed_in("static/liftlock/root")
    [row, *_] = re.findall(r'href="/audit/([0-9]+)"', http.get("/audit").text)
    found = []
    for name, path in _paths(ids, row).items():
        samples = []
        for number in range(rounds + 1):
            began = time.perf_counter()
            answer = http.get(path)
            took = (time.perf_counter() - began) * 1000
            assert answer.status_code == 200, (path, answer.status_code, answer.text[-2000:])
            if number:
                samples.append(took)
        found.append(Figure(f"page: {name}", "ms", samples, 50))
    return found


def browser_times(site: Site, ids: dict[str, str], rounds: int) -> list[Figure]:
    """Return first contentful paint of the heaviest pages, and a log line's way to an open page."""
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = site.visit(browser, "static/liftlock/root", viewport=DESKTOP)
        for name, path in (
            ("pushes", "/pushes"),
            ("group of 10,000", f"/groups/{ids['large']}"),
            ("task", f"/tasks/{ids['task']}"),
            ("operation", f"/operations/{ids['operation']}"),
        ):
            samples = []
            for _ in range(rounds):
                page.goto("about:blank")
                page.goto(f"{site.url}{path}")
                script = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"
                _until(page, f"({script}) > 0")
                samples.append(float(page.evaluate(script)))
            found.append(Figure(f"first contentful paint: {name}", "ms", samples, 500))
        found.append(_log_line(site, page, rounds * 4))
        site.close()
        browser.close()
    return found


def _until(page: Any, holds: str) -> None:
    """Wait until the expression holds, half a minute at most: asked from outside, for the pages' policy forbids `eval`."""
    ends = time.monotonic() + 30
    while not page.evaluate(holds):
        assert time.monotonic() < ends, holds
        time.sleep(0.01)


def _log_line(site: Site, page: Any, rounds: int) -> Figure:
    task_id, run = Stage(site.served).claim()
    size = _say(site, task_id, run, 0, b"begin\n")
    page.goto(f"{site.url}/tasks/{task_id}/runs/0/log")
    _until(page, "document.querySelector('.ln')?.textContent.includes('begin') === true")
    page.evaluate(
        """() => { window.seen = {}; new MutationObserver(() => {
          for (const line of document.querySelectorAll('.ln .tx')) {
            const name = line.textContent.trim();
            if (name.startsWith('line-') && !(name in window.seen)) window.seen[name] = performance.timeOrigin + performance.now();
          } }).observe(document.getElementById('log'), {subtree: true, childList: true, characterData: true}); }"""
    )
    samples = []
    for number in range(rounds):
        began = time.time() * 1000
        size = _say(site, task_id, run, size, b"line-%d\n" % number)
        _until(page, f"'line-{number}' in window.seen")
        samples.append(float(page.evaluate(f"window.seen['line-{number}']")) - began)
    return Figure("a log line on an open page", "ms", samples, 200)


def _say(site: Site, task_id: str, run: taskcluster.Queue, offset: int, data: bytes) -> int:
    """Append to the run's log as its worker does; return the log's size."""
    url = f"{site.url}/api/queue/v1/task/{task_id}/runs/0/live-log/{LOG.replace('/', '%2F')}?offset={offset}"
    said = run.options["credentials"]
    texts = (said["clientId"], said["accessToken"], said["certificate"])
    who = Credentials(*(one if isinstance(one, str) else one.decode() for one in texts))
    header = sign_request(who, "POST", url, ts=int(time.time()), nonce=f"n{time.monotonic_ns()}")
    answer = httpx2.post(url, content=data, headers={"authorization": header}, timeout=20)
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["size"]
    return found


def rows(rounds: int) -> Iterator[Figure]:
    """Measure everything; yield each figure when it is there."""
    weight = sum(len(asset.packed) for asset in ASSETS.values()) / 1000
    yield Figure("assets, compressed", "kB", [weight], 150)
    with _world() as (site, ids):
        yield from server_times(site, ids, rounds * 4)
        yield from browser_times(site, ids, rounds)


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each measurement")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.serve is not None:
        _serve(told.serve)
        return 0
    write: Callable[[str], object] = sys.stdout.write
    write(f"{'figure':44} {'median':>9} {'min':>9} {'max':>9}  limit\n")
    holds = True
    for one in rows(told.rounds):
        holds = holds and one.holds
        verdict = "" if one.holds else "  EXCEEDED"
        write(
            f"{one.name:44} {statistics.median(one.samples):9.1f} {min(one.samples):9.1f} {max(one.samples):9.1f}"
            f"  {one.limit:g} {one.unit}{verdict}\n"
        )
        sys.stdout.flush()
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
