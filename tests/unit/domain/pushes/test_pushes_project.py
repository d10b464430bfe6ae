"""Registered repositories: what is accepted as one, and which branches count."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.pushes.project import Project, define_project, is_branch_name
from liftlock.errors import InputInvalidError, RequestArgumentsError


def _project(**changes: Any) -> Project:
    given = {
        "name": "widget",
        "identity": "https://github.com/liftlock-demo/widget",
        "fetch_address": "/srv/git/widget.git",
        "level": 3,
        "branches": ["main", "release/*"],
        "trust_domain": "demo",
    }
    return define_project(**(given | changes))


def test_the_branch_role_is_named_after_the_identity_not_the_fetch_address() -> None:
    assert _project().branch_role("main") == "repo:github.com/liftlock-demo/widget:branch:main"


@pytest.mark.parametrize("suffix", ["/", ".git", ".git/"])
def test_spellings_of_one_identity_are_one_identity(suffix: str) -> None:
    assert _project(identity="https://github.com/a/b" + suffix) == _project(identity="https://github.com/a/b")


@pytest.mark.parametrize(
    "identity",
    [
        "http://github.com/a/b",
        "https://github.com",
        "https://GitHub.com/a/b",
        "https://github.com/a/b:branch:main",
        "https://github.com/a/*",
        "https://user@github.com/a/b",
        "https://github.com:8443/a/b",
        "https://github.com/a//b",
        "https://github.com/a/../b",
        "https://github.com/a/b\n",
        "https://github.com/a/b?x",
        "",
    ],
)
def test_an_identity_that_could_be_read_as_another_role_is_refused(identity: str) -> None:
    with pytest.raises(InputInvalidError, match="identityUrl: expected https"):
        _project(identity=identity)


@pytest.mark.parametrize(
    "address",
    ["/srv/a b.git", "file:///srv/a.git", "https://host:8443/a", "ssh://git@host/a.git", "ssh://host:22/a"],
)
def test_fetch_addresses_of_the_known_kinds_are_accepted(address: str) -> None:
    assert _project(fetch_address=address).fetch_address == address


@pytest.mark.parametrize(
    "address",
    [
        "--upload-pack=touch /tmp/x",
        "ext::sh -c id",
        "relative/path",
        "git://host/a",
        "http://host/a",
        "https://user:secret@host/a",
        "ssh://-oProxyCommand=id/a",
        "ssh://git@-oProxyCommand=id/a",
        "ssh://-x@host/a",
        "host:path",
        "/srv/a\n",
        "/srv/a\0b",
        "",
        "/" + "a" * 2048,
    ],
)
def test_fetch_addresses_that_could_be_options_or_commands_or_leak_are_refused(address: str) -> None:
    with pytest.raises(InputInvalidError, match="fetchUrl: expected"):
        _project(fetch_address=address)


@pytest.mark.parametrize("level", [0, 4, -1])
def test_levels_other_than_one_to_three_are_refused(level: int) -> None:
    with pytest.raises(InputInvalidError, match="level: expected 1, 2 or 3"):
        _project(level=level)


def test_names_and_trust_domains_are_checked() -> None:
    with pytest.raises(RequestArgumentsError, match="project: expected"):
        _project(name="a/b")
    with pytest.raises(InputInvalidError, match="trustDomain: expected"):
        _project(trust_domain="a/b")


@pytest.mark.parametrize("branches", [[], ["ma*in"], ["-x"], ["a b"], ["x"] * 101, ["a$(id)"]])
def test_branch_patterns_that_are_none_are_refused(branches: list[str]) -> None:
    with pytest.raises(InputInvalidError, match="branches: expected"):
        _project(branches=branches)


def test_a_pattern_is_a_name_or_a_prefix() -> None:
    project = _project()
    assert [name for name in ("main", "main2", "release/1", "release", "xmain") if project.tracks(name)] == [
        "main",
        "release/1",
    ]


@pytest.mark.parametrize(
    "name", ["a'b", 'a"b', "a b", "a;b", "$(id)", "a..b", "-a", "é", "a*", "a:b", "a\n", "", "a/"]
)
def test_branches_whose_names_are_unsafe_in_a_role_or_a_shell_never_count(name: str) -> None:
    assert not is_branch_name(name)
    assert not _project(branches=["*"]).tracks(name)
