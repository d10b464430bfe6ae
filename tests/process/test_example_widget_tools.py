"""What the example's tasks run: a reproducible build, tests on the built wheel, a measurement, a signed release."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from widget_stand_in import WIDGET, Widget, unpack_wheels

pytestmark = pytest.mark.process

KEY = "a-key-of-the-test"


def run(arguments: list[str], where: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=where,
        env={"PATH": "/usr/bin:/bin", "HOME": str(where), "LANG": "C.UTF-8", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `taskcluster/build-requirements.txt` locks."""
    tree = tmp_path_factory.mktemp("tools")
    unpack_wheels(WIDGET / "taskcluster/build-requirements.txt", tree)
    return tree


def build(widget: Widget, tools: Path, into: Path) -> Path:
    done = run(
        ["/usr/bin/python3", "-m", "hatchling", "build", "-d", str(into)],
        widget.repo,
        PYTHONPATH=str(tools),
        SOURCE_DATE_EPOCH="1769860800",
    )
    assert done.returncode == 0, done.stdout
    [wheel] = into.glob("*.whl")
    return wheel


def test_two_builds_give_the_same_bytes(widget: Widget, tools: Path, tmp_path: Path) -> None:
    build(widget, tools, tmp_path / "one")
    os.utime(widget.repo / "src/widget/units.py", (0, 0))
    build(widget, tools, tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["widget-1.2.0-py3-none-any.whl", "widget-1.2.0.tar.gz"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_the_parts_of_the_tests_run_each_test_once_on_the_wheel(
    widget: Widget, tools: Path, tmp_path: Path
) -> None:
    wheel = build(widget, tools, tmp_path / "dist")
    ran: list[str] = []
    for part in ("1/2", "2/2"):
        command = ["/usr/bin/python3", "repo/tools/run_tests.py", "repo/tests"]
        done = run(command, widget.build, PYTHONPATH=str(wheel), CHUNK=part)
        assert done.returncode == 0, done.stdout
        ran += [line for line in done.stdout.splitlines() if line.endswith("... ok")]
    assert len(ran) == len(set(ran)) == 19


def test_a_failing_test_fails_its_part(widget: Widget, tools: Path, tmp_path: Path) -> None:
    wheel = build(widget, tools, tmp_path / "dist")
    table = widget.repo / "tests/test_units.py"
    table.write_text(table.read_text().replace("Fraction(127, 5000)", "Fraction(1, 40)"))
    results = [
        run(["/usr/bin/python3", "repo/tools/run_tests.py", "repo/tests"], widget.build, PYTHONPATH=str(wheel), CHUNK=part)
        for part in ("1/2", "2/2")
    ]  # fmt: skip
    assert sorted(done.returncode for done in results) == [0, 1]


def test_the_measurement_is_written_as_json(widget: Widget, tools: Path, tmp_path: Path) -> None:
    wheel = build(widget, tools, tmp_path / "dist")
    target = tmp_path / "speed.json"
    done = run(
        ["/usr/bin/python3", "repo/tools/measure.py", str(target)], widget.build, PYTHONPATH=str(wheel)
    )
    assert done.returncode == 0, done.stdout
    assert json.loads(target.read_text())["per_second"] > 0


class Secrets(BaseHTTPRequestHandler):
    """Gives the key under the name that promote.py should ask for, and nothing else."""

    def do_GET(self) -> None:
        right = self.path == "/api/secrets/v1/secret/project%2Fwidget%2Frelease"
        body = json.dumps({"secret": {"key": KEY}}).encode() if right else b"{}"
        self.send_response(200 if right else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_promotion_signs_the_wheel_and_shows_the_key_nowhere(
    widget: Widget, tools: Path, tmp_path: Path
) -> None:
    wheel = build(widget, tools, tmp_path / "dist")
    (tmp_path / "dist/widget-1.2.0.tar.gz").unlink()
    server = HTTPServer(("127.0.0.1", 0), Secrets)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        done = run(
            ["/usr/bin/python3", "repo/tools/promote.py", str(tmp_path / "dist"), str(tmp_path / "release")],
            widget.build,
            TASKCLUSTER_PROXY_URL=f"http://127.0.0.1:{server.server_address[1]}",
            RELEASE_SECRET="project/widget/release",
            RELEASE_VERSION="1.2.0",
            RELEASE_CHANNEL="beta",
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 0, done.stdout
    text = (tmp_path / "release/release.json").read_bytes()
    signature = (tmp_path / "release/release.json.hmac").read_text().strip()
    assert signature == hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()
    assert json.loads(text)["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert KEY not in done.stdout
