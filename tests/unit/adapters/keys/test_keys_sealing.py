"""Secrets at rest: bound to their key and row, and the key file is nobody else's."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.errors import StorageError

TOKEN = b"a-very-secret-token"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def open_at(path: Path) -> KeyFileSealer:
    return KeyFileSealer.open(path, CountedEntropy())


def test_a_sealed_secret_is_unsealed_by_whoever_has_the_key_file(path: Path) -> None:
    sealed = open_at(path).seal(TOKEN, identity="client/a")
    assert TOKEN.decode() not in sealed
    assert open_at(path).unseal(sealed, identity="client/a") == TOKEN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.json"]


def test_the_same_secret_is_sealed_differently_each_time(path: Path) -> None:
    sealer = open_at(path)
    assert sealer.seal(TOKEN, identity="client/a") != sealer.seal(TOKEN, identity="client/a")


def test_a_secret_moved_to_another_row_is_not_unsealed(path: Path) -> None:
    sealer = open_at(path)
    with pytest.raises(StorageError, match="belongs to another row"):
        sealer.unseal(sealer.seal(TOKEN, identity="client/a"), identity="client/b")


def test_a_changed_secret_is_not_unsealed(path: Path) -> None:
    sealer = open_at(path)
    sealed = sealer.seal(TOKEN, identity="client/a")
    for at in range(19, len(sealed)):
        other = "A" if sealed[at] != "A" else "B"
        with pytest.raises(StorageError):
            sealer.unseal(sealed[:at] + other + sealed[at + 1 :], identity="client/a")
    for malformed in ("", "1.x.y", "2" + sealed[1:], sealed[:19], sealed + "é"):
        with pytest.raises(StorageError):
            sealer.unseal(malformed, identity="client/a")


def test_another_installations_key_does_not_unseal(path: Path, tmp_path: Path) -> None:
    entropy = CountedEntropy()
    entropy.token_bytes(999)
    other = KeyFileSealer.open(tmp_path / "other.json", entropy)
    sealed = other.seal(TOKEN, identity="client/a")
    with pytest.raises(StorageError, match="which the key file lacks"):
        open_at(path).unseal(sealed, identity="client/a")


def test_after_a_new_key_old_secrets_are_still_unsealed(path: Path) -> None:
    entropy = CountedEntropy()
    before = KeyFileSealer.open(path, entropy)
    old = before.seal(TOKEN, identity="client/a")
    key_id = KeyFileSealer.add_key(path, entropy)
    after = KeyFileSealer.open(path, entropy)
    new = after.seal(TOKEN, identity="client/a")
    assert new.split(".")[1] == key_id != old.split(".")[1]
    assert after.unseal(old, identity="client/a") == after.unseal(new, identity="client/a") == TOKEN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    open_at(path)
    path.chmod(mode)
    with pytest.raises(StorageError, match="expected a regular file of mode 0600"):
        open_at(path)


def test_a_link_in_place_of_the_key_file_is_refused(path: Path, tmp_path: Path) -> None:
    open_at(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(StorageError, match="key file"):
        open_at(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"current": "0" * 16},
        {"keys": {}},
        {"extra": 1},
        {"keys": {"a": "AAAA"}, "current": "a"},
    ],
    ids=str,
)
def test_a_malformed_key_file_is_refused(path: Path, change: dict[str, object]) -> None:
    open_at(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(StorageError, match="key file"):
        open_at(path)
    path.write_text("no JSON")
    with pytest.raises(StorageError, match="key file"):
        open_at(path)
