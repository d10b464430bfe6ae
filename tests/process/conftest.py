"""Fixtures of the tests that run real programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from widget_stand_in import WIDGET, Api, Proxy, Widget, checkout, unpack_wheels


@pytest.fixture(scope="session")
def taskgraph_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's locked taskgraph as one importable tree."""
    tree = tmp_path_factory.mktemp("taskgraph")
    unpack_wheels(WIDGET / "taskcluster/requirements.txt", tree)
    return tree


@pytest.fixture
def widget(tmp_path: Path, taskgraph_tree: Path) -> Iterator[Widget]:
    """A fresh checkout of the example, and the API that its tasks call."""
    api = Api()
    proxy = Proxy(api)
    build = tmp_path / "build"
    build.mkdir()
    yield Widget(api, build, taskgraph_tree, checkout(build / "repo"))
    proxy.close()
