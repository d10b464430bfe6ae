"""`liftlock gate`: what each command says when it can't do what it was asked for: what, where, and what was expected."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_world import GateWorld, GitPair, MercurialPair, gate_world
from liftlock.cli.main import run

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def world() -> Iterator[GateWorld]:
    with gate_world() as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def pair(world: GateWorld) -> GitPair:
    made = GitPair(world, install=False)
    made.commit("first")
    made.push()
    return made


def said(capsys: pytest.CaptureFixture[str], world: GateWorld, *arguments: str) -> tuple[int, str]:
    verb, *rest = arguments
    status = run(["gate", verb, "--run", str(world.run), *rest])
    return status, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "--prometheus"),
        ("explain", "widget", "--bug", "7"),
        ("replay", "widget", ".", "--range", "HEAD"),
        ("replay", "widget", ".", "--audit"),
        ("resync",),
        ("override", "7", "--reason", "x"),
        ("install", ".", "--name", "widget"),
    ],
)
def test_without_gated_every_command_says_on_which_socket_nobody_answers(
    capsys: pytest.CaptureFixture[str], pair: GitPair, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    verb, *rest = (str(pair.server) if each == "." else each for each in arguments)
    hooks = ["--hooks-dir", str(tmp_path / "hooks")] if verb == "install" else []
    status = run(["gate", verb, "--run", str(tmp_path / "nowhere"), *rest, *hooks])
    assert status == 1
    assert (
        f"Unreachable: {tmp_path}/nowhere/operator.sock: gated does not answer (No such file or directory): is it running?"
        in capsys.readouterr().err
    )
    assert not (pair.server / "hooks" / "pre-receive").exists(), "and nothing is half installed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "widget"), "Usage: explain: expected one of --bug, --message and --message-file"),
        (
            ("explain", "widget", "--bug", "7", "--message", "x"),
            "Usage: explain: expected one of --bug, --message and --message-file",
        ),
        (
            ("explain", "widget", "--bug", "seven"),
            "Invalid value for '--bug': 'seven' is not a valid integer",
        ),
        (("override", "0", "--reason", "x"), "Invalid value for 'BUG': 0 is not in the range x>=1"),
        (("override", "100000000", "--reason", "x"), "override: bug 100000000: expected 1 to 99999999"),
        (("override", "7", "--reason", "  "), "override: expected a reason: it is written down"),
        (("override", "7"), "Missing option '--reason'"),
        (
            ("override", "7", "--reason", "x", "--hours", "721"),
            "Invalid value for '--hours': 721.0 is not in the range 0<x<=720",
        ),
        (
            ("override", "7", "--reason", "x", "--source", "trakcer"),
            "override: the policy has no feed 'trakcer'; expected one of: tracker",
        ),
        (
            ("resync", "--source", "trakcer"),
            "resync: the policy has no feed 'trakcer'; expected one of: tracker",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_was_expected(
    capsys: pytest.CaptureFixture[str], world: GateWorld, arguments: tuple[str, ...], words: str
) -> None:
    status, text = said(capsys, world, *arguments)
    assert status == 2
    assert words in text


def test_a_refused_source_is_not_followed_from_then_on(
    capsys: pytest.CaptureFixture[str], world: GateWorld
) -> None:
    said(capsys, world, "resync", "--source", "trakcer")
    assert list(world.ask("status")["ok"]["sources"]) == ["tracker"]


def test_replay_needs_one_of_its_ways_a_repository_and_a_range_that_is_there(
    capsys: pytest.CaptureFixture[str], world: GateWorld, pair: GitPair, tmp_path: Path
) -> None:
    for more in ((), ("--audit", "--range", "main")):
        status, text = said(capsys, world, "replay", "widget", str(pair.server), *more)
        assert (status, text) == (2, "liftlock: Usage: replay: expected one of --range and --audit")
    status, text = said(capsys, world, "replay", "widget", str(tmp_path), "--audit")
    assert (status, text) == (2, f"liftlock: Usage: {tmp_path}: expected a git or Mercurial repository")
    status, text = said(capsys, world, "replay", "widget", str(pair.server), "--range", "absent")
    assert status == 2
    assert f"Usage: {pair.server}: git rev-list: fatal: bad revision 'absent'" in text
    mercurial = MercurialPair(world, "hg", install=False)
    status, text = said(capsys, world, "replay", "widget", str(mercurial.server), "--range", "absent")
    assert status == 2
    assert f"Usage: {mercurial.server}: hg log: abort: unknown revision 'absent'" in text
    policy = tmp_path / "policy.toml"
    policy.write_text('version = 1\n[defaults.rules]\nuplift = "sometimes"\n')
    status, text = said(
        capsys, world, "replay", "widget", str(pair.server), "--range", "main", "--policy", str(policy)
    )
    assert status == 2
    assert "InputError: policy: defaults: Invalid enum value 'sometimes' - at `$.rules.uplift`" in text


def test_install_says_what_is_in_the_way_or_missing(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    world: GateWorld,
    pair: GitPair,
    tmp_path: Path,
) -> None:
    status, text = said(capsys, world, "install", str(tmp_path), "--name", "widget")
    assert (status, text) == (2, f"liftlock: Usage: {tmp_path}: expected a git or Mercurial repository")
    status, text = said(capsys, world, "install", str(tmp_path / "absent"), "--name", "widget")
    assert status == 2
    assert "does not exist" in text
    compiled = ("--client", "compiled", "--no-self-test")
    status, text = said(capsys, world, "install", str(pair.server), "--name", 'a"b', *compiled)
    assert (status, text) == (
        2,
        "liftlock: Usage: REPOSITORY: 'a\"b' can't be built into a compiled hook: use --client python",
    )
    found = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, **more: None if name in ("cc", "gcc") else found(name, **more)
    )
    status, text = said(capsys, world, "install", str(pair.server), "--name", "a", *compiled)
    assert (status, text) == (
        2,
        "liftlock: Usage: cc: not found: install a C compiler, or use --client python",
    )
    monkeypatch.setattr(shutil, "which", lambda name, **more: None)
    status, text = said(capsys, world, "install", str(pair.server), "--name", "a", "--no-self-test")
    assert (status, text) == (2, "liftlock: Usage: git: not found in /usr/bin, /usr/local/bin or /bin")
    assert not (pair.server / "hooks" / "pre-receive").exists()
