"""What is said of a database that can't be opened shows where it is, and nothing of how to get in."""

from __future__ import annotations

import ssl
from pathlib import Path

import apsw
import pytest

from liftlock.adapters.sql.migrate import migrate_postgresql
from liftlock.adapters.sql.opening import place_of, postgresql_unusable, sqlite_unusable
from liftlock.errors import StorageError


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("postgresql://me:geheim@db.example:5432/lift", "db.example:5432/lift"),
        ("postgres://db.example/lift?password=geheim", "db.example/lift"),
        ("postgresql://db.example", "db.example"),
        ("postgresql:///lift?host=/run/postgresql&password=geheim", "/lift"),
        ("postgresql://me:geh/eim@db.example/lift", "the given address"),
        ("postgresql://me:geh?eim@db.example/lift", "the given address"),
        ("postgresql://me:geh#eim@db.example/lift", "the given address"),
        ("postgresql://me:geh@eim@db.example/lift", "the given address"),
        ("postgresql://db.example/lift?password=geh@eim", "the given address"),
        ("geheim", "the given address"),
    ],
)
def test_a_place_is_shown_without_what_opens_it(address: str, place: str) -> None:
    assert place_of(address) == place


@pytest.mark.parametrize("password", ["geh/eim", "geh:eim", "geh[eim", "%zzgeheim/x", "geh eim/"])
async def test_an_odd_address_is_refused_without_any_part_of_it(password: str) -> None:
    with pytest.raises(StorageError) as caught:
        await migrate_postgresql(f"postgresql://me:{password}@127.0.0.1:x/lift")
    assert "geh" not in caught.value.message
    assert "eim" not in caught.value.message


def test_a_certificate_that_does_not_fit_is_said_as_such() -> None:
    error = ssl.SSLCertVerificationError("hostname mismatch")
    assert "hostname mismatch" in postgresql_unusable("postgresql://h/d", error).message


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (apsw.NotADBError("x"), "restore it from the backup"),
        (apsw.CorruptError("x"), "restore it from the backup"),
        (apsw.FullError("x"), "make room on the disk"),
        (apsw.CantOpenError("x"), "check that its owner may read and write it"),
    ],
)
def test_a_file_comes_with_what_to_do(error: apsw.Error, advice: str) -> None:
    said = sqlite_unusable(Path("/srv/liftlock.db"), error).message
    assert said.startswith("the database /srv/liftlock.db can't be used")
    assert advice in said
