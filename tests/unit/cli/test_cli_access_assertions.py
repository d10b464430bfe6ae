"""Files of what must never be reachable: read as they are written, refused where they make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from liftlock.cli.access_assertions import Assertions, Never, push_of, read, start_of
from liftlock.cli.failures import UsageError

EXPECTED = Assertions(
    (
        Never("people/*", "secrets:get:release", frozenset({"people/morgan"})),
        Never("role:x:*", "ship:*", frozenset()),
    ),
    ({"scope": "host:push", "roleId": "repo:a:*"},),
)


def write(folder: Path, text: str, name: str = "never.yml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    yaml = write(
        tmp_path,
        "never:\n"
        "- {from: people/*, to: secrets:get:release, except: [people/morgan]}\n"
        "- from: 'role:x:*'\n"
        "  to: ship:*\n"
        "pushes: [{scope: host:push, role: 'repo:a:*'}]\n",
    )
    toml = write(
        tmp_path,
        '[[never]]\nfrom = "people/*"\nto = "secrets:get:release"\nexcept = ["people/morgan"]\n'
        '[[never]]\nfrom = "role:x:*"\nto = "ship:*"\n[[pushes]]\nscope = "host:push"\nrole = "repo:a:*"\n',
        "never.toml",
    )
    assert read(yaml) == EXPECTED
    assert read(toml) == EXPECTED


def test_only_a_clients_id_that_ends_in_a_star_means_many_clients() -> None:
    def clients(start: str) -> str | None:
        return Never(start, "x", frozenset()).clients

    assert clients("people/*") == "people/"
    assert clients("client:*") == ""
    assert clients("people/robin") is None
    assert clients("role:x:*") is None
    assert clients("scope:x:*") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a mapping with never"),
        ("never: []", "never: expected 1 to 500 assertions, found 0"),
        ("never: {from: a, to: b}", "never: expected a list"),
        ("never: [{from: a}]", r"never\[0\]: expected from, to and perhaps except; found from"),
        ("never: [{from: a, to: b, form: c}]", r"never\[0\]: expected from, to and perhaps except"),
        ("never: [{from: a, to: 1}]", r"never\[0\].to: expected a text, found 1"),
        (
            "never: [{from: a, to: b, except: [c]}]",
            r"never\[0\].except: expected only where `from` is clients",
        ),
        ("never: [{from: a, to: b}]\npush: []", "expected never and perhaps pushes; found never, push"),
        ("never: [{from: a, to: b}]\npushes: [{scope: c}]", r"pushes\[0\]: expected role, scope"),
        ("never: [", "never.yml: "),
        ("!!python/object:x {}", "never.yml: "),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_and_told_where(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read(write(tmp_path, text))


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "none.yml")
    with pytest.raises(UsageError, match="expected at most 1048576 bytes"):
        read(write(tmp_path, "#" * (1024 * 1024 + 1)))


def test_a_start_is_a_client_unless_it_says_otherwise() -> None:
    assert start_of("people/robin") == {"clientId": "people/robin"}
    assert start_of("client:role:x") == {"clientId": "role:x"}
    assert start_of("role:x:*") == {"roleId": "x:*"}
    assert start_of("scope:assume:x") == {"scopes": ["assume:x"]}


def test_a_right_to_push_is_parted_at_its_last_equals_sign() -> None:
    assert push_of("host:a=b=repo:x") == {"scope": "host:a=b", "roleId": "repo:x"}
    for wrong in ("host", "=x", "x="):
        with pytest.raises(UsageError, match="expected SCOPE=ROLE"):
            push_of(wrong)
