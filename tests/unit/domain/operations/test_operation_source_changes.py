"""What a commit may change: allowed paths, regular files, never CI; and a formatter leaves the program as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.operations.source_changes import Change, check_modes, check_paths, check_same_program
from liftlock.errors import InputValidationError


@pytest.mark.parametrize(
    "path",
    [
        ".taskcluster.yml",
        ".TaskCluster.yml",
        "taskcluster/kinds/build/kind.yml",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".gitattributes",
        "deep/down/.gitattributes",
        ".gitmodules",
        ".git/config",
        "sub/.git/hooks/post-checkout",
        ".GIT/config",
        ".pre-commit-config.yaml",
        "Jenkinsfile",
        ".hgsub",
        "CODEOWNERS",
    ],
)
def test_what_configures_ci_or_the_repository_is_never_changed(path: str) -> None:
    with pytest.raises(InputValidationError, match="a commit of liftlock never changes"):
        check_paths([path], ["**"])


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/./b", "a\nb", "", "a\\b", "c:x"])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(InputValidationError, match="expected a plain path, once"):
        check_paths([path], ["**"])


def test_only_what_the_operation_allows_is_changed() -> None:
    check_paths(
        ["requirements.txt", "app/dev-requirements.txt"], ["*requirements*.txt", "**/*requirements*.txt"]
    )
    with pytest.raises(
        InputValidationError, match=r"src/x.py: this operation may change \*requirements\*.txt only"
    ):
        check_paths(["src/x.py"], ["*requirements*.txt"])
    with pytest.raises(InputValidationError, match="once"):
        check_paths(["a.txt", "A.txt"], ["**"])


def test_only_regular_files_are_replaced() -> None:
    modes = {"a.py": "100644", "run": "100755", "link": "120000", "module": "160000", "folder/b": "100644"}
    check_modes(["a.py", "run"], modes, only_existing=True)
    check_modes(["new.py"], modes, only_existing=False)
    for path, message in (
        ("link", "no regular file .mode 120000"),
        ("module", "no regular file .mode 160000"),
        ("folder", "a file and a folder"),
        ("a.py/b", "a file and a folder"),
    ):
        with pytest.raises(InputValidationError, match=message):
            check_modes([path], modes, only_existing=False)
    with pytest.raises(InputValidationError, match=r"new.py: it does not exist at the base"):
        check_modes(["new.py"], modes, only_existing=True)


def same(before: str, after: str, path: str = "a.py") -> None:
    check_same_program([Change(path, before.encode(), after.encode())])


def test_formatting_leaves_the_program_the_same() -> None:
    same("x = {  'a':1 }\n", 'x = {"a": 1}\n')
    same(
        "def f(a,b):\n  '''Doc\n     more '''\n  return (a)\n",
        'def f(a, b):\n    """Doc\n    more"""\n    return a\n',
    )
    same("x = 1 # why\n", "x = 1  # why\n")
    same("anything", "at all", "a.txt")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1\n", "x = 2\n"),
        ("x = 1\n", "x = 1\nimport os\n"),
        ("if a and b: pass\n", "if a or b: pass\n"),
        ("x = 'a'\n", "x = 'a '\n"),
        ("x = 1\n", "x = (\n"),
        ("def f():\n    'a'\n", "def f():\n    'b'\n"),
        ("x = 1\n", "\0"),
        ("x = b'a'\n", "x = 'a'\n"),
        ("x = 1\n", "(" * 5000),
    ],
)
def test_another_program_is_refused(before: str, after: str) -> None:
    with pytest.raises(InputValidationError, match=r"^a.py: "):
        same(before, after)


def test_a_file_without_a_base_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(InputValidationError, match="nothing to compare it with"):
        check_same_program([Change("a.py", None, b"x = 1\n")])


@given(st.binary(max_size=100))
def test_whatever_the_bytes_are_they_are_compared_or_refused_with_their_name(content: bytes) -> None:
    refused = ""
    try:
        check_same_program([Change("a.py", b"x = 1\n", content)])
    except InputValidationError as error:
        refused = error.message
    assert not refused or refused.startswith("a.py: ")
