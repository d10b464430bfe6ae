"""What a task may declare as inputs, and what each mistake is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.inputs.declarations import (
    Git,
    Mercurial,
    Mount,
    Pip,
    Raw,
    TaskArtifact,
    Unpack,
    declarations,
)
from liftlock.domain.inputs.plan import lock_path, order
from liftlock.errors import InputValidationError

REVISION = "0123456789abcdef0123456789abcdef01234567"
TASK = "Qt3GMzT0Qq2rIcp0oYl9sA"


def git(name: str = "repo", to: str = "/build/repo") -> dict[str, Any]:
    return {
        "name": name,
        "git": {"project": "widget", "revision": REVISION},
        "unpack": {"to": to, "writable": True},
    }


def raw(name: str = "text", **place: Any) -> dict[str, Any]:
    return {"name": name, "raw": {"content": "x"}, **(place or {"mount": f"/inputs/{name}"})}


def pip(source: str = "repo", path: str | None = "requirements.txt", **more: Any) -> dict[str, Any]:
    lock = {"input": source, **({"path": path} if path else {})}
    return {"name": "py", "pip": {"lock": lock}, "mount": "/inputs/py", **more}


def refused(value: Any) -> str:
    with pytest.raises(InputValidationError) as caught:
        order(declarations(value, "payload.inputs"))
    return caught.value.message


def test_every_kind_of_the_base_form_is_read() -> None:
    artifact = {
        "name": "wheel",
        "task": {"id": TASK, "artifact": "public/a.whl"},
        "mount": "/inputs/wheel/a.whl",
    }
    found = declarations([git(), raw(), pip(), artifact], "payload.inputs")
    assert [one.source for one in found] == [
        Git(REVISION, "widget"),
        Raw("x"),
        Pip(found[2].source.lock),  # type: ignore[union-attr]
        TaskArtifact(TASK, "public/a.whl"),
    ]
    assert found[0].place == Unpack("/build/repo")
    assert found[3].place == Mount("/inputs/wheel/a.whl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unpak": 1}, "payload.inputs[0].unpak: unknown key; expected one of: git, hg, index, index-snapshot, mount, name, npm, pip, raw, task, tooltool, unpack, url"),
        ({"name": "../x"}, "payload.inputs[0].name: expected a name of [A-Za-z0-9_.-], at most 64 characters, found '../x'"),
        ({"mount": "/inputs/x"}, "payload.inputs[0]: expected exactly one of mount and unpack, found both"),
        ({"raw": {"content": ""}}, "payload.inputs[0]: expected exactly one of git, hg, pip, task, raw, url, tooltool, index, npm, index-snapshot, found git, raw"),
        ({"unpack": {"to": "/etc"}}, "payload.inputs[0].unpack.to: expected an absolute path below /build, of plain names, found '/etc'"),
        ({"unpack": {"to": "/build/../etc"}}, "payload.inputs[0].unpack.to: expected an absolute path below /build, of plain names, found '/build/../etc'"),
        ({"unpack": {"to": "/build/repo", "writable": False}}, "payload.inputs[0].unpack.writable: expected true (use mount for what shall be read-only), found False"),
        ({"unpack": {"to": "/build/repo", "strip": 1}}, "payload.inputs[0].unpack.strip: expected 0 for what is no archive, found 1"),
        ({"git": {"project": "widget", "revision": "main"}}, "payload.inputs[0].git.revision: expected a revision of 40 or 64 hexadecimal digits, found 'main'"),
        ({"git": {"revision": REVISION}}, "payload.inputs[0].git: expected exactly one of project and url"),
        ({"hg": {"project": "widget", "revision": REVISION}}, "payload.inputs[0]: expected exactly one of git, hg, pip, task, raw, url, tooltool, index, npm, index-snapshot, found git, hg"),
        ({"git": {"project": "widget"}}, "payload.inputs[0].git.revision: missing; it must be given (found beside it: project)"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_path_and_what_was_expected(change: dict[str, Any], message: str) -> None:
    assert refused([git() | change]) == message


@pytest.mark.parametrize("kind", ["git", "hg"])
def test_a_checkout_can_not_be_mounted_read_only(kind: str) -> None:
    value = {"name": "repo", kind: {"project": "widget", "revision": REVISION}, "mount": "/inputs/repo"}
    assert refused([value]).startswith(
        "payload.inputs[0].mount: a repository is a checkout that the task owns"
    )


def test_a_mercurial_repository_is_declared_like_one_of_git_and_has_changesets_of_40_digits() -> None:
    value: dict[str, Any] = {
        "name": "repo",
        "hg": {"url": "https://hg.example/widget", "revision": REVISION},
    }
    [found] = declarations([value | {"unpack": {"to": "/build/repo"}}], "payload.inputs")
    assert (found.kind, found.source) == ("hg", Mercurial(REVISION, None, "https://hg.example/widget"))
    value["hg"] = {"project": "widget", "revision": "ab" * 32}
    assert refused([value | {"unpack": {"to": "/build/repo"}}]).startswith(
        "payload.inputs[0].hg.revision: expected a changeset of 40 hexadecimal digits, found 'abab"
    )


@pytest.mark.parametrize(
    "path", ["/inputs", "/inputs/", "/inputs/a/../b", "/inputs//a", "/usr/x", "inputs/a", "/inputs/a\n"]
)
def test_a_mount_lies_below_inputs_at_a_plain_path(path: str) -> None:
    assert "payload.inputs[0].mount: expected an absolute path below /inputs" in refused([raw(mount=path)])


def test_two_inputs_can_not_lie_in_each_others_way() -> None:
    both = [raw("a", mount="/inputs/x"), raw("b", mount="/inputs/x/y")]
    assert (
        refused(both)
        == "payload.inputs[1]: /inputs/x/y lies in the way of a at /inputs/x; expected places apart"
    )


def test_two_inputs_can_not_share_a_name() -> None:
    assert "the name 'a' is taken by payload.inputs[0].name" in refused(
        [raw("a"), raw("a", mount="/inputs/b")]
    )


def test_a_locked_input_comes_after_the_one_that_holds_its_lock() -> None:
    found = order(declarations([pip(), git(), raw()], "payload.inputs"))
    assert [one.name for one in found] == ["repo", "text", "py"]


def test_a_lock_in_a_checkout_lies_in_the_scratch_and_a_raw_lock_in_the_store() -> None:
    tree, locked = order(declarations([git(to="/build/src/repo"), pip()], "payload.inputs"))
    assert lock_path(tree, locked.source.lock) == "src/repo/requirements.txt"  # type: ignore[arg-type]
    text, locked = order(declarations([raw(), pip("text", None)], "payload.inputs"))
    assert lock_path(text, locked.source.lock) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([pip("nothing")], "payload.inputs[0].pip.lock.input: no input is called 'nothing'; expected one of: py"),
        ([git(), pip("repo", None)], "payload.inputs[1].pip.lock.path: missing; it must say which file of 'repo' is the lock"),
        ([raw(), pip("text", "a.txt")], "payload.inputs[1].pip.lock.path: 'text' is one file; expected no path (the input is the lock)"),
        ([pip("py")], "payload.inputs[0].pip.lock.input: 'py' is a pip input itself, which holds no lock"),
        ([git(), pip("repo", "../x")], "payload.inputs[1].pip.lock.path: expected a relative path of plain names such as out/build.zip, found '../x'"),
    ],
)  # fmt: skip
def test_a_lock_must_be_a_file_of_another_input(inputs: list[Any], message: str) -> None:
    assert refused(inputs) == message
