"""Fixtures that every kind of test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The dsn of the test run's own PostgreSQL server."""
    with postgres.server() as dsn:
        yield dsn


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """The dsn of a new, empty database that is dropped after the test."""
    made = postgres.create_database(postgres_server)
    yield made
    postgres.drop_database(postgres_server, made)
