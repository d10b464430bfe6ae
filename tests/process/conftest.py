"""Fixtures of the tests that run real programs: a served control plane, and the example project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from widget_stand_in import WIDGET, Api, Proxy, Widget, checkout, unpack_wheels

import third_party_programs
from control_plane_server import Served, serve
from pages_world import Site, chromium


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A control plane on SQLite, served on a free port from a thread of its own."""
    with serve(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def taskgraph_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's locked taskgraph as one importable tree."""
    tree = tmp_path_factory.mktemp("taskgraph")
    unpack_wheels(WIDGET / "taskcluster/requirements.txt", tree)
    return tree


@pytest.fixture(scope="session")
def scriptworker_python() -> str:
    """The Python that scriptworker is installed for, locked by hashes."""
    return str(third_party_programs.python_programs("scriptworker") / "python")


@pytest.fixture
def widget(tmp_path: Path, taskgraph_tree: Path) -> Iterator[Widget]:
    """A fresh checkout of the example, and the API that its tasks call."""
    api = Api()
    proxy = Proxy(api)
    build = tmp_path / "build"
    build.mkdir()
    yield Widget(api, build, taskgraph_tree, checkout(build / "repo"))
    proxy.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, ended with the module: while it runs, no other event loop can run in this thread."""
    with chromium() as running:
        yield running


@pytest.fixture
def site(served: Served) -> Iterator[Site]:
    """The pages of a served control plane; a script that fails in a page fails the test."""
    made = Site(served)
    yield made
    made.close()
