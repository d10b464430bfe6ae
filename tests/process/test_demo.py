"""`liftlock demo` as a newcomer runs it: every claim holds, and it can fail."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from widget_stand_in import ROOT, WHEELHOUSE

from liftlock.processes.demo.checks import CHECKS
from pages_world import token_in

pytestmark = pytest.mark.process

LIFTLOCK = [sys.executable, "-P", "-c", "from liftlock.cli.main import main; main()"]
LINE = re.compile(r"(ok|FAIL) ([A-E]\d+) (.+)")
LIMIT_S = 400


def environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": "/tmp"}


def run_demo(home: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *LIFTLOCK, "demo", *arguments],
        env=environment(home),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def table(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, str]]:
    return [match.groups() for line in done.stdout.splitlines() if (match := LINE.fullmatch(line))]  # type: ignore[misc]


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that name `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder below /tmp that every user may pass, as the demo needs it when root starts it."""
    made = Path("/tmp") / f"liftlock-test-{os.getpid()}-{tmp_path.name}"
    shutil.rmtree(made, ignore_errors=True)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.soak  # .ci/run plays the demo, too
def test_every_claim_is_observed_and_when_kept_it_goes_on_with_what_it_printed(
    folder: Path, tmp_path: Path
) -> None:
    done = run_demo(tmp_path, "--keep", "--state-dir", str(folder))
    stop = re.search(r"end it with: kill (\d+)", done.stdout)
    assert stop is not None, done.stdout + done.stderr
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert table(done) == [("ok", check.requirement, check.expected) for check in CHECKS.values()]
        assert "\x1b" not in done.stdout
        addresses = re.findall(r": (http://\S+)$", done.stdout, re.MULTILINE)
        assert len(addresses) == 5 + 1 + 3
        for address in addresses:
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.read()
        links = re.findall(r"sign in, once within an hour, as (.+): (http://\S+)$", done.stdout, re.MULTILINE)
        assert [sees_pushes_as(link) for _, link in links] == [
            "people/robin",
            "people/morgan",
            "static/liftlock/root",
        ]
        assert f"{folder}/state/liftlock.env" in done.stdout
    finally:
        os.kill(int(stop[1]), signal.SIGTERM)
    wait_until(lambda: processes_of(folder) == [])


@pytest.mark.soak  # .ci/run plays the demo as an ordinary user, too
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_observes_the_same(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    folder.mkdir(mode=0o755)
    home = folder / "home"
    home.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    become = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    done = run_demo(home, "--state-dir", str(folder / "state"), before=become)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {word for word, _, _ in table(done)} == {"ok"}
    assert processes_of(folder) == []
    assert "single-user: processes share one uid" in (folder / "state/liftlock.log").read_text()


def sees_pushes_as(link: str) -> str:
    """Return as whom the link signs in, with whom the pushes of the demo are seen."""
    with httpx2.Client(base_url=link.partition("/sign-in/")[0], timeout=20) as browser:
        token = token_in(browser.get(link).text)
        origin = {"origin": str(browser.base_url).rstrip("/")}
        assert browser.post(link, data={"form_token": token}, headers=origin).status_code == 303
        assert "widget" in browser.get("/pushes").text.split("<main")[1]
        found = re.search(r"<h1>(.+)</h1>", browser.get("/account").text)
        assert found is not None
        return found[1]


def wait_until(holds: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < LIMIT_S
        time.sleep(0.05)


def test_the_demo_fails_where_tasks_cannot_have_their_packages(folder: Path, tmp_path: Path) -> None:
    """Without wheels the decision task can't run: the table says so, its log explains it, and nothing stays behind."""
    empty = tmp_path / "wheels"
    empty.mkdir()
    tmp_path.chmod(0o755)
    done = run_demo(tmp_path, "--state-dir", str(folder), "--wheelhouse", str(empty))
    assert done.returncode == 1, done.stdout + done.stderr
    words = {requirement: word for word, requirement, _ in table(done)}
    assert words["A2"] == "FAIL"
    assert "log of task" in done.stderr
    assert "sha256" in done.stderr
    assert processes_of(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a program in a mount namespace")
def test_without_bubblewrap_the_demo_says_so_and_starts_nothing(folder: Path, tmp_path: Path) -> None:
    hide = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /usr/bin/bwrap && exec "$@"', "sh")
    done = run_demo(tmp_path, "--state-dir", str(folder), before=hide)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = lines.index("FAIL B6 this machine allows the isolation that tasks need")
    assert "bubblewrap" in lines[at + 1]
    assert "ok" not in {word for word, _, _ in table(done)}
    assert not (folder / "state").exists()


def test_ctrl_c_ends_everything_that_the_demo_started(folder: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*LIFTLOCK, "demo", "--state-dir", str(folder)],
        env=environment(tmp_path),
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # Whoever starts the tests in the background may have them ignore SIGINT, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- one thread
    ) as process:
        wait_until((folder / "state/liftlock.env").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) != 0
    assert processes_of(folder) == []


def test_the_demo_refuses_a_folder_that_holds_something(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "precious").write_text("mine")
    done = run_demo(tmp_path, "--state-dir", str(folder))
    assert done.returncode == 2
    assert "expected an empty folder" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["precious"]


def test_the_demo_says_what_to_run_when_there_is_no_wheelhouse(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--wheelhouse", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "run scripts/wheelhouse first" in done.stderr


def test_the_wheelhouse_is_where_the_demo_looks_for_it() -> None:
    assert WHEELHOUSE == ROOT / ".cache/wheelhouse"
