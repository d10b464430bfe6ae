"""Unit tests open no sockets: an accidental connection fails the test that made it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Disable network sockets; Unix sockets stay, because asyncio's event loop wakes itself through a pair of them."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
