"""What runs as the pusher: as small as it is said to be, and filled in by the installer without surprises."""

from __future__ import annotations

import ast
from importlib import resources
from pathlib import Path

import pytest

from liftlock.cli.failures import UsageError
from liftlock.cli.gate_install import install, stub
from liftlock.cli.gate_repository import GateRepository

STUBS = Path(str(resources.files("liftlock.gate.stubs")))


def imported(name: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((STUBS / name).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_the_mercurial_hook_imports_socket_and_nothing_else() -> None:
    assert imported("mercurial_hook.py") == {"socket"}


def test_the_git_hook_imports_small_modules_of_python_alone() -> None:
    assert imported("pre_receive.py") == {"_socket", "os", "select", "signal", "time"}


@pytest.mark.parametrize("name", ["mercurial_hook.py", "pre_receive.py"])
@pytest.mark.parametrize("value", ["/run/x.sock", "it's", 'a "b"', "back\\slash", "new\nline", r"\g<0>"])
def test_settings_are_filled_in_as_they_are(name: str, value: str) -> None:
    scope: dict[str, object] = {}
    tree = ast.parse(stub(name, SOCKET=value, REPOSITORY="r", FAIL="open"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            scope[node.targets[0].id] = ast.literal_eval(node.value)
    assert (scope["SOCKET"], scope["REPOSITORY"]) == (value, "r")


def test_a_setting_that_a_hook_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="no setting COLOUR"):
        stub("pre_receive.py", COLOUR="red")


@pytest.mark.parametrize("name", ['a"b', "a\\b", "ä", "a\nb"])
def test_names_that_cannot_be_built_into_a_compiled_hook_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "HEAD").touch()
    repository = GateRepository.at(tmp_path)
    with pytest.raises(UsageError, match="can't be built into a compiled hook"):
        install(repository, name, Path("/run"), "open", tmp_path, compiled=True, force=False)
    assert not (tmp_path / "hooks" / "pre-receive").exists()
