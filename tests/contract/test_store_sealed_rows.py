"""A lost key file is noticed at the start, as long as anything stored needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.errors import StorageError
from liftlock.processes.parts.foundation import KEY_FILE, check_keys

ROWS = {
    "client": "INSERT INTO access_client(client_id, description, sealed_token, scopes, expires, disabled,"
    " delete_on_expiration, created, last_modified, last_used, last_rotated, version)"
    " VALUES ('c', '', $1, '[]', 1, 0, 0, 1, 1, 1, 1, 1)",
    "secret": "INSERT INTO secret(name, sealed, expires) VALUES ('s', $1, 1)",
    "hook": "INSERT INTO hook(hook_group_id, hook_id, document, version, sealed_token, managed, next_task_id, created, modified)"
    " VALUES ('g', 'h', '{}', 'v', $1, 0, 't', 1, 1)",
}


async def _store(engine: Engine, kind: str, sealed: str) -> None:
    def script() -> Script[None]:
        yield Sql(ROWS[kind], (sealed,))

    await engine.write(script, None)


async def test_an_empty_database_needs_no_key_file(engine: Engine, tmp_path: Path) -> None:
    await check_keys(tmp_path, engine)


@pytest.mark.parametrize("kind", sorted(ROWS))
async def test_a_lost_key_file_is_refused_and_not_replaced(engine: Engine, tmp_path: Path, kind: str) -> None:
    path = tmp_path / KEY_FILE
    sealer = KeyFileSealer.open(path, CountedEntropy())
    await _store(engine, kind, sealer.seal(b"secret", identity="x"))
    await check_keys(tmp_path, engine)
    [key_id] = KeyFileSealer.key_ids(path)
    path.unlink()
    with pytest.raises(
        StorageError, match=rf"is absent, and with it {key_id}.*restore the key file"
    ) as caught:
        await check_keys(tmp_path, engine)
    assert str(path) in caught.value.message
    assert not path.exists()
    KeyFileSealer.open(path, SystemEntropy())  # another file does not do
    with pytest.raises(StorageError, match=f"lacks {key_id}"):
        await check_keys(tmp_path, engine)


async def test_a_file_with_an_added_key_still_does(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / KEY_FILE
    sealer = KeyFileSealer.open(path, SystemEntropy())
    await _store(engine, "secret", sealer.seal(b"secret", identity="x"))
    KeyFileSealer.add_key(path, SystemEntropy())
    await check_keys(tmp_path, engine)
