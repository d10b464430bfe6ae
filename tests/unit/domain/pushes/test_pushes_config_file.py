"""`.taskcluster.yml` is untrusted: bounded, unambiguous, and named by its bytes."""

from __future__ import annotations

import hashlib

import pytest

from liftlock.domain.pushes.config_file import MAX_BYTES, parse_config
from liftlock.errors import InputInvalidError


def test_the_digest_is_of_the_raw_bytes_comments_included() -> None:
    raw = b"# a comment\nversion: 1\ntasks: []\n"
    assert parse_config(raw).digest == hashlib.sha256(raw).hexdigest()
    assert parse_config(raw).document == {"version": 1, "tasks": []}


def test_the_first_task_of_a_list_is_the_template_of_actions() -> None:
    assert parse_config(b"version: 1\ntasks: [{a: 1}, {b: 2}]").action_template == {"a": 1}
    assert parse_config(b"version: 1\ntasks: []").action_template is None
    assert parse_config(b"version: 1\ntasks: {$if: 'true', then: []}").action_template is None


def test_a_date_stays_the_text_that_it_is() -> None:
    assert parse_config(b"version: 1\ntasks: [2026-01-02]").tasks == ["2026-01-02"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"- a", "expected a mapping with version and tasks"),
        (b"version: 0\ntasks: []", "expected version: 1, found 0"),
        (b"version: true\ntasks: []", "expected version: 1, found True"),
        (b"version: 1", "expected tasks"),
        (b"version: 1\ntasks: []\ntasks: []", "line 3: the key 'tasks' is given twice"),
        (b"version: 1\ntasks: [{1: a}]", "expected text as key, found 1"),
        (b"version: 1\ntasks: !!python/object/apply:os.system ['id']", "expected YAML"),
        (b"version: 1\ntasks: !!binary aGk=", "found bytes"),
        (b"version: 1\ntasks: !!set {a}", "found set"),
        (b"version: [", "expected YAML"),
        (b"version: 1\ntasks: *nothing", "expected YAML"),
        (b"\xff\xfe", "expected UTF-8"),
        (b"version: 1\ntasks: " + b"[" * 100, "nest deeper than 60"),
        (b"a" * (MAX_BYTES + 1), "262145 bytes, expected at most 262144"),
        (b"version: 1\ntasks: {? [a] : b}", "expected"),
        (b"version: 1\ntasks: []\n---\nversion: 1\ntasks: []", "expected YAML"),
    ],
)
def test_what_is_no_configuration_is_refused_with_what_was_expected(raw: bytes, message: str) -> None:
    with pytest.raises(InputInvalidError, match=message):
        parse_config(raw)


def test_aliases_that_stand_for_billions_are_refused() -> None:
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(InputInvalidError, match="more than 50000 values once its aliases are expanded"):
        parse_config("\n".join([*lines, "tasks: []"]).encode())


def test_a_value_that_contains_itself_is_refused() -> None:
    with pytest.raises(InputInvalidError, match=r"\.taskcluster\.yml"):
        parse_config(b"version: 1\ntasks: &a [*a]")
