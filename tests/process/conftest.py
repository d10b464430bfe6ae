"""A control plane that answers over real HTTP, for tests of clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane_server import Served, serve


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A control plane on SQLite, served on a free port from a thread of its own."""
    with serve(tmp_path) as running:
        yield running
