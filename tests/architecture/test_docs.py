"""The documentation agrees with the repository: links lead somewhere, commands exist, dependencies have reasons."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest
from source_tree import ROOT, files, python_files, shown

from liftlock.cli.main import cli

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SOURCE = re.compile(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?")
PAGES = [path for path in files(".md") if not path.is_relative_to(ROOT / "examples")]
QUADRANTS = ("tutorial", "how-to", "reference", "explanation", "adr", "threat-model")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a Markdown page: its headings', as code hosts make them, and those written as `<a id>`."""
    text = FENCE.sub("", page.read_text())
    plain = (
        re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        for heading in HEADING.findall(text)
    )
    named = re.findall(r'<a id="([\w-]+)"></a>', text)
    return frozenset(named) | frozenset(
        re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain
    )


def broken(base: Path, target: str) -> str | None:
    """Return what is wrong with a relative link on the page `base`, or None."""
    path, _, anchor = target.partition("#")
    page = (base.parent / path).resolve() if path else base
    if not page.exists():
        return f"{shown(base)}: {target}: no such file"
    if anchor and page.suffix == ".md" and anchor not in anchors(page):
        return f"{shown(base)}: {target}: no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = [
        t
        for t in LINK.findall(FENCE.sub("", page.read_text()))
        if "://" not in t and not t.startswith("mailto:")
    ]
    assert [problem for target in targets if (problem := broken(page, target))] == []


def test_every_page_can_be_reached_from_the_index() -> None:
    reached, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        waiting += [
            (page.parent / t.partition("#")[0]).resolve()
            for t in LINK.findall(page.read_text())
            if "://" not in t
        ]
    left = (
        {p for p in PAGES if p.is_relative_to(ROOT / "docs")}
        - reached
        - {ROOT / "docs" / "adr" / "template.md"}
    )
    assert {shown(page) for page in left} == set()


def test_sources_named_in_the_code_exist() -> None:
    found = [
        f"{shown(path)}: {named}"
        for path in python_files("src", "tests")
        for named in SOURCE.findall(path.read_text())
        if broken(ROOT / "x", named)
    ]
    assert found == []


def _requirements() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    return {re.split(r"[<>=!~\[; ]", requirement)[0] for requirement in wanted}


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == _requirements()


def _commands(page: Path) -> list[list[str]]:
    lines = [
        line
        for kind, body in FENCE.findall(page.read_text())
        if kind in ("sh", "console")
        for line in body.splitlines()
    ]
    starts = (line.removeprefix("$ ").strip() for line in lines)
    return [
        shlex.split(line, comments=True)[1:] for line in starts if re.match(r"(\.venv/bin/)?liftlock ", line)
    ]


def unknown(words: list[str]) -> str | None:
    """Return what is wrong with a `liftlock …` line of the docs: a command or an option that does not exist."""
    command: click.Command = cli
    for index, word in enumerate(words):
        if word.startswith("-"):
            break
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            return f"{' '.join(words[: index + 1])}: no such command"
        command = found
    options = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    used = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help", "--"}
    extra = used - options
    return f"{' '.join(words)}: no such option {sorted(extra)}" if extra else None


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_commands_shown_in_the_docs_exist(page: Path) -> None:
    assert [problem for words in _commands(page) if (problem := unknown(words))] == []


def test_make_targets_shown_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named - targets == set()


@pytest.mark.parametrize("folder", QUADRANTS)
def test_the_documentation_has_all_its_parts(folder: str) -> None:
    assert list((ROOT / "docs" / folder).glob("*.md"))


THREATS = ROOT / "docs" / "threat-model" / "index.md"


def _tests(*folders: str) -> dict[str, str]:
    """Return test function -> file, of all tests under these folders."""
    return {
        name: shown(path)
        for path in python_files(*folders)
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", THREATS.read_text()))
    assert named
    assert named - set(_tests("tests")) == set()


def test_every_attack_test_is_in_the_threat_model() -> None:
    named = set(re.findall(r"`(test_\w+)`", THREATS.with_name("tests.md").read_text()))
    assert {name: file for name, file in _tests("tests/attack").items() if name not in named} == {}, (
        "run `make docs`"
    )
