"""`liftlock gate`: installing with a canary, and what operators see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import pytest

from gate_world import GateWorld, GitPair, MercurialPair, gate_world, record
from liftlock.cli.failures import VerificationFailedError
from liftlock.cli.gate_install import canary_token, push_canary
from liftlock.cli.gate_repository import GateRepository

pytestmark = pytest.mark.process


@pytest.fixture
def world() -> Iterator[GateWorld]:
    with gate_world() as made:
        made.start()
        yield made


@pytest.mark.parametrize("pair_type", [GitPair, MercurialPair])
def test_the_installer_proves_the_hook_with_a_canary_and_leaves_nothing_behind(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair]
) -> None:
    pair = pair_type(world, install=False)
    done = world.liftlock(
        "install", str(pair.server), "--name", "widget", "--hooks-dir", str(world.folder / "hooks")
    )
    assert done.returncode == 0, done.stderr
    assert "a canary push was rejected by the gate" in done.stderr
    assert not (pair.heads() if isinstance(pair, GitPair) else pair.revisions())
    firing = world.ask("status")["ok"]["firings"][0]
    assert (firing["repository"], firing["outcome"]) == ("widget", "canary")


def test_a_git_hook_that_git_skips_is_found_by_the_canary(world: GateWorld) -> None:
    """git silently skips a hook that is not executable: here it looks for hooks in another folder."""
    pair = GitPair(world, install=False)
    pair.run("config", "core.hooksPath", "/nonexistent", where=pair.server)
    done = world.liftlock("install", str(pair.server), "--name", "widget")
    assert done.returncode == 5
    assert "a canary push was not rejected by the gate" in done.stderr
    assert pair.heads() == {}, "the canary is removed again"


def test_a_mercurial_repository_without_a_working_hook_is_found_and_keeps_no_canary(world: GateWorld) -> None:
    pair = MercurialPair(world, install=False)
    with pytest.raises(VerificationFailedError, match="was not rejected by the gate"):
        push_canary(GateRepository.at(pair.server), canary_token())
    assert pair.revisions() == 0, "a second hook, for this push alone, has rejected it"


@pytest.mark.parametrize("pair_type", [GitPair, MercurialPair])
def test_a_hook_fails_as_the_policy_says_though_gated_is_down_later(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair]
) -> None:
    world.set_policy('[repository.widget]\nfail = "closed"\n')
    pair = pair_type(world)
    pair.commit("first")
    world.stop()
    rejected = pair.push()
    assert rejected.returncode != 0
    assert "ask an operator" in rejected.stdout + rejected.stderr


def test_a_name_that_the_policy_lacks_is_refused_unless_its_defaults_are_meant(world: GateWorld) -> None:
    world.set_policy('[repository.widget]\nfail = "closed"\n')
    pair = GitPair(world, install=False)
    refused = world.liftlock("install", str(pair.server), "--name", "wigdet")
    assert refused.returncode == 2
    assert "wigdet: the policy does not name it, only widget" in refused.stderr
    assert not (pair.server / "hooks" / "pre-receive").exists()
    world.install(pair.server, "wigdet", "--defaults", "--no-self-test")


def test_a_hook_that_is_laxer_than_the_policy_is_refused_and_shown(world: GateWorld) -> None:
    world.fed()
    pair = GitPair(world, "widget", "--fail", "open")
    assert world.liftlock("status").returncode == 0
    world.set_policy('[repository.widget]\nfail = "closed"\n')
    for _ in range(2):
        shown = world.liftlock("status")
        assert shown.returncode == 1
        assert "widget: its hook fails open, the policy says closed: install it again" in shown.stdout
        world.stop()
        world.start()
    refused = world.liftlock("install", str(pair.server), "--name", "widget", "--fail", "open")
    assert refused.returncode == 2
    assert 'the policy says fail = "closed"' in refused.stderr
    world.install(pair.server, "widget", "--no-self-test")
    assert "its hook fails" not in world.liftlock("status").stdout


def test_installing_again_changes_nothing_and_another_hook_is_kept(world: GateWorld) -> None:
    pair = GitPair(world)
    hook = pair.server / "hooks" / "pre-receive"
    before = hook.read_text()
    world.install(pair.server, "widget", "--no-self-test")
    assert hook.read_text() == before
    hook.write_text("#!/bin/sh\nexit 0\n")
    refused = world.liftlock("install", str(pair.server), "--name", "widget", "--no-self-test")
    assert refused.returncode == 2
    assert "is not liftlock's" in refused.stderr
    assert hook.read_text() == "#!/bin/sh\nexit 0\n"
    mercurial = MercurialPair(world, "other")
    settings = mercurial.server / ".hg" / "hgrc"
    settings.write_text("[ui]\nverbose = no\n" + settings.read_text())
    settings.chmod(0o600)
    world.install(mercurial.server, "other", "--no-self-test")
    assert settings.read_text().count("liftlock-gate begin") == 1
    assert "verbose = no" in settings.read_text()
    assert settings.stat().st_mode & 0o777 == 0o600, "what was secret stays secret"


def test_status_shows_the_age_of_the_list_and_when_each_hook_last_asked(world: GateWorld) -> None:
    done = world.liftlock("status")
    assert done.returncode == 1
    assert "no list yet" in done.stdout
    feed = world.fed(record(7), record(8, reason="approved"))
    pair = GitPair(world)
    pair.commit("first")
    pair.push()
    done = world.liftlock("status")
    assert done.returncode == 0, done.stderr
    assert re.search(r"tracker  \d+ s", done.stdout)
    assert "widget      git" in done.stdout
    found = json.loads(world.liftlock("status", "--json").stdout)
    assert (found["sources"]["tracker"]["sensitive"], found["sources"]["tracker"]["blocked"]) == (2, 1)
    text = world.liftlock("status", "--prometheus").stdout
    assert 'liftlock_gate_pushes_total{outcome="allow",repository="other"} 1' in text
    assert 'liftlock_gate_sensitive_bugs{source="tracker"} 2' in text
    feed.close()


def test_explain_tells_operators_how_a_message_is_read_without_counting_it(world: GateWorld) -> None:
    feed = world.fed(record(7))
    done = world.liftlock("explain", "widget", "--message", "Bug 7 - x")
    assert "bug 7: unapproved, blocked" in done.stdout
    assert "verdict: reject" in done.stdout
    assert "nothing is known of it" in world.liftlock("explain", "widget", "--bug", "9").stdout
    assert world.liftlock("explain", "widget").returncode == 2
    assert world.ask("audit", kind="push")["ok"]["entries"] == []
    feed.close()


@pytest.mark.parametrize("pair_type", [GitPair, MercurialPair])
def test_replay_says_what_another_policy_would_have_rejected(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair]
) -> None:
    """D5."""
    world.set_policy('[defaults.rules]\nsecurity-approval = "off"\napproval-token = "off"\n')
    feed = world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 7 - x")
    pair.commit("Bug 8 - y")
    assert pair.push().returncode == 0
    other = world.folder / "other.toml"
    other.write_text("version = 1\n")
    wanted = "refs/heads/main" if pair_type is GitPair else "all()"
    done = world.liftlock("replay", "widget", str(pair.server), "--range", wanted)
    assert "0 of 2 commits would be rejected" in done.stdout, done.stderr
    done = world.liftlock("replay", "widget", str(pair.server), "--range", wanted, "--policy", str(other))
    assert "1 of 2 commits would be rejected" in done.stdout, done.stderr
    feed.close()


@pytest.mark.parametrize("pair_type", [GitPair, MercurialPair])
def test_what_slipped_through_while_gated_was_down_is_found_afterwards(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair]
) -> None:
    """D4: it fails open, and never silently."""
    feed = world.fed(record(7), record(9))
    pair = pair_type(world)
    pair.commit("first")
    assert pair.push().returncode == 0
    assert world.liftlock("replay", "widget", str(pair.server), "--audit").returncode == 0
    assert world.liftlock("override", "9", "--reason", "known").returncode == 0
    pair.commit("Bug 9 - let in knowingly")
    assert pair.push().returncode == 0
    feed.close()
    world.stop()
    slipped = pair.commit("Bug 7 - landed during the outage")
    landed = pair.push()
    assert landed.returncode == 0
    assert "audited later" in landed.stdout + landed.stderr
    world.start()
    assert world.liftlock("override", "9", "--reason", "over", "--revoke").returncode == 0
    early = world.liftlock("replay", "widget", str(pair.server), "--audit")
    assert early.returncode == 6, early.stdout
    assert "not audited, what came stays to be audited: feedd has told nothing since gated" in early.stderr
    refused = world.ask("audited", repository="widget", heads={})
    assert "feedd has told nothing" in refused["error"]["message"]
    world.fed(record(7), record(9))
    done = world.liftlock("replay", "widget", str(pair.server), "--audit")
    assert done.returncode == 1, done.stderr
    assert f"{slipped[:12]} bug 7: security-approval" in done.stdout
    assert "1 of 2 new commits slipped through" in done.stdout
    assert world.ask("audit", kind="slipped")["ok"]["entries"][0]["details"]["revision"] == slipped
    assert world.liftlock("replay", "widget", str(pair.server), "--audit").returncode == 0


@pytest.mark.parametrize("pair_type", [GitPair, MercurialPair])
def test_thousands_of_known_heads_cost_one_program_and_no_command_line(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = pair_type(world)
    first = pair.commit("first")
    second = pair.commit("second")
    assert pair.push().returncode == 0
    repository = GateRepository.at(pair.server)
    started = list[Sequence[str]]()
    run = GateRepository.run

    def counted(self: GateRepository, arguments: Sequence[str], *, given: bytes | None = None) -> bytes:
        started.append(arguments)
        return run(self, arguments, given=given)

    monkeypatch.setattr(GateRepository, "run", counted)
    gone = [f"{number:040x}" for number in range(1, 4_001)]
    found = list(repository.commits(second, [*gone, first]))
    assert [each["revision"] for each in found] == [second]
    assert len(started) <= 5
    assert max(len(each) for call in started for each in call) < 100_000


def test_an_override_names_a_repository_that_there_is_and_who_became_root(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fed(record(7))
    world.set_policy("[repository.a]\n[repository.b]\n")
    monkeypatch.setenv("SUDO_USER", "alice")
    unknown = world.liftlock("override", "7", "--reason", "x", "--repository", "typo")
    assert unknown.returncode == 2, unknown.stdout
    assert "no repository 'typo': neither the policy names it nor was a hook installed" in unknown.stderr
    for name in ("a", "b"):
        done = world.liftlock("override", "7", "--reason", "x", "--repository", name)
        assert done.returncode == 0, done.stderr
        assert "alice, by sudo" in done.stdout
    done = world.liftlock("override", "7", "--reason", "x", "--repository", "a", "--revoke")
    assert "1 overrides ended" in done.stdout
    assert [each["repository"] for each in world.ask("status")["ok"]["overrides"]] == ["b"]
    assert world.ask("audit", kind="override")["ok"]["entries"][0]["actor"] == "alice, by sudo"


def test_the_policy_is_read_again_on_sighup_and_a_broken_one_is_not_taken(world: GateWorld) -> None:
    feed = world.fed(record(7))
    pair = GitPair(world)
    pair.commit("Bug 7 - x")
    assert pair.push().returncode == 1
    world.set_policy('[defaults.rules]\nsecurity-approval = "off"\napproval-token = "sometimes"\n')
    assert pair.push().returncode == 1
    assert "the old one holds" in world.log
    world.set_policy('[defaults.rules]\nsecurity-approval = "off"\napproval-token = "off"\n')
    assert pair.push().returncode == 0
    feed.close()
