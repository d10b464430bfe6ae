"""The policy file: what it means, and what is refused."""

from __future__ import annotations

import pytest

from liftlock.domain.pushes.gate_policy import GatePolicy, RepositoryPolicy, parse_policy
from liftlock.errors import InputInvalidError

FILE = """
version = 1
operators = ["root", "ops"]
feed-users = ["llfeed"]

[limits]
sensitive-hits-per-day = 5

[feed.tracker]
canary = 1
link = "https://tracker.example/{bug}"

[[adapter]]
user = "git"
variable = "GL_USER"

[defaults]
fail = "closed"
max-stale-s = 60
rules.uplift = "warn"

[repository.beta]
fail = "open"
scope = "message"
uplift = { "*" = "approval-beta" }
exempt-refs = ["refs/heads/try/*"]
rules.uplift = "enforce"
rules.closed-bug = "warn"
"""


def test_a_repository_changes_single_settings_of_the_defaults() -> None:
    policy = parse_policy(FILE)
    beta = policy.of("beta")
    assert (beta.fail, beta.max_stale_s, beta.scope) == ("open", 60, "message")
    assert (beta.rules.mode("uplift"), beta.rules.mode("closed-bug")) == ("enforce", "warn")
    assert beta.rules.mode("security-approval") == "enforce"
    assert policy.of("elsewhere") == policy.default
    assert policy.default.rules.mode("uplift") == "warn"
    assert policy.default.fail == "closed"
    assert policy.operators == ("root", "ops")
    assert policy.feed_users == ("llfeed",)
    assert policy.feed_of("tracker").canary == 1
    assert policy.limits.sensitive_hits_per_day == 5


def test_the_least_file_enforces_the_two_rules_of_sensitive_bugs_and_fails_open() -> None:
    """D4."""
    assert parse_policy("version = 1") == GatePolicy(version=1)
    rules = parse_policy("version = 1").default.rules
    assert [rules.mode("security-approval"), rules.mode("approval-token")] == ["enforce", "enforce"]
    assert [rules.mode("uplift"), rules.mode("closed-bug"), rules.mode("unknown-bug")] == ["off"] * 3
    assert RepositoryPolicy().fail == "open"


def test_refs_are_matched_by_their_full_and_their_short_name() -> None:
    beta = parse_policy(FILE).of("beta")
    assert beta.uplift_flags(["refs/heads/anything"]) == ("approval-beta",)
    assert beta.exempts(["refs/heads/try/x"])
    assert not beta.exempts(["refs/heads/try/x", "refs/heads/main"])
    short = RepositoryPolicy(exempt_refs=("try/*",))
    assert short.exempts(["refs/heads/try/x"])
    assert not short.exempts(["refs/tags/try/x"])


@pytest.mark.parametrize("table", ["defaults", "repository.beta"])
def test_a_feed_that_the_policy_does_not_have_is_refused(table: str) -> None:
    with pytest.raises(InputInvalidError, match=r"source 'tracer': there is no table \[feed\.tracer\]"):
        parse_policy(f'version = 1\n[feed.tracker]\n[{table}]\nsource = "tracer"\n')
    parse_policy(f'version = 1\n[feed.tracer]\n[{table}]\nsource = "tracer"\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "version"),
        ("version = 2", "version"),
        ("version = 1\nunknown = 2", "unknown"),
        ("version = [", "expected TOML"),
        ("version = 1\n[defaults]\nfail = 'ajar'", "defaults"),
        ("version = 1\n[defaults.rules]\nsecurity-approval = 'yes'", "security-approval"),
        ("version = 1\n[repository.x]\nrules = 3", "repository.x"),
        ("version = 1\n[repository.x]\nmax-stale-s = 0", "repository x: max-stale-s: expected 1 to 604800"),
        ("version = 1\n[limits]\nshown-bugs = 4", "limits.shown-bugs: expected 0 to 3, found 4"),
        ("version = 1\n[limits]\ndeadline-ms = 60000", "deadline-ms"),
        ("version = 1\n[feed.t]\ncanary = -3", "feed.t.canary"),
        ("version = 1\n[[adapter]]\nuser = 'git'\nvariable = 'PATH'", "variable"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(InputInvalidError) as raised:
        parse_policy(text, what="gate.toml")
    assert raised.value.message.startswith("gate.toml")
    assert said in raised.value.message
