"""Clients and roles on both databases: each change takes one version, leaves its trail, and is never lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from liftlock.adapters.sql.access_store import SqlAccessStore
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import ConflictError, NotFoundError, ReplayedRequestError, StaleSnapshotError
from liftlock.ports.access_store import ClientRecord, RoleRecord
from liftlock.ports.envelope import AuditRecord, Envelope, Nonce

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def client(client_id: str = "people/alice", **changes: object) -> ClientRecord:
    record = ClientRecord(
        client_id=client_id,
        description="Alice",
        sealed_token="1.key.sealed",
        scopes=("a", "b:*"),
        expires=NOW + timedelta(days=1),
        disabled=False,
        delete_on_expiration=False,
        created=NOW,
        last_modified=NOW,
        last_used=NOW,
        last_rotated=NOW,
    )
    return msgspec.structs.replace(record, **changes)


def role(role_id: str = "dev", *scopes: str) -> RoleRecord:
    return RoleRecord(role_id, "Developers", scopes, NOW, NOW)


def at(version: int, *audit: AuditRecord, nonce: Nonce | None = None) -> Envelope:
    return Envelope(NOW, nonce, version, audit)


async def test_a_client_is_read_back_as_it_was_put(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    assert await store.client("people/alice") is None
    await store.put_client(client(), at(1), create=True)
    assert await store.client("people/alice") == client()
    changed = client(description="A.", disabled=True, scopes=(), sealed_token="1.k.other")
    await store.put_client(changed, at(2), create=False)
    assert await store.client("people/alice") == msgspec.structs.replace(changed, version=2)


async def test_creating_what_exists_and_changing_what_does_not_are_refused(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    await store.put_client(client(), at(1), create=True)
    await store.put_role(role("dev", "x"), "root", at(2), create=True)
    with pytest.raises(ConflictError, match="client people/alice exists already"):
        await store.put_client(client(description="other"), at(3), create=True)
    with pytest.raises(ConflictError, match="role dev exists already"):
        await store.put_role(role("dev"), "root", at(3), create=True)
    with pytest.raises(NotFoundError, match="client x does not exist"):
        await store.put_client(client("x"), at(3), create=False)
    with pytest.raises(NotFoundError, match="role x does not exist"):
        await store.put_role(role("x"), "root", at(3), create=False)
    assert await store.since(3) is None
    assert await store.client("people/alice") == client()


async def test_every_change_takes_one_version_and_needs_the_present_one(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    await store.put_role(role("dev", "x"), "root", at(1), create=True)
    with pytest.raises(StaleSnapshotError):
        await store.put_role(role("dev", "y"), "root", at(1), create=False)
    with pytest.raises(StaleSnapshotError):
        await store.put_role(role("dev", "y"), "root", Envelope(NOW), create=False)
    with pytest.raises(StaleSnapshotError):
        await store.delete_role("dev", "root", at(1))
    assert await store.role("dev") == role("dev", "x")


async def test_of_two_changes_decided_on_one_version_exactly_one_applies(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    results = await asyncio.gather(
        *(store.put_role(role(f"r{n}"), "root", at(1), create=True) for n in range(6)), return_exceptions=True
    )
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, StaleSnapshotError) for result in results) == 5
    assert len(await store.list_roles(prefix="", after="", limit=10)) == 1


async def test_since_tells_what_changed_and_what_is_gone(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    everything = await store.since(0)
    assert everything is not None
    assert (everything.version, everything.clients, everything.roles) == (1, (), ())
    await store.put_client(client("a"), at(1), create=True)
    await store.put_client(client("b"), at(2), create=True)
    await store.put_role(role("dev", "x"), "root", at(3), create=True)
    assert await store.delete_client("a", at(4))
    changes = await store.since(1)
    assert changes is not None
    assert (changes.version, changes.gone) == (5, ("a",))
    assert changes.clients == (client("b"),)
    assert changes.roles == (role("dev", "x"),)
    later = await store.since(4)
    assert later is not None
    assert (later.clients, later.gone, later.roles) == ((), ("a",), None)
    assert await store.since(5) is None


async def test_deleting_twice_is_no_error_and_takes_no_version(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    await store.put_client(client(), at(1), create=True)
    assert await store.delete_client("people/alice", at(2)) is True
    assert await store.delete_client("people/alice", at(3)) is False
    assert await store.delete_role("dev", "root", at(3)) is False
    assert await store.since(3) is None


async def test_every_version_of_a_role_is_kept_with_who_made_it(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    await store.put_role(role("dev", "x"), "root", at(1), create=True)
    await store.put_role(role("dev", "x", "y"), "people/bob", at(2), create=False)
    await store.delete_role("dev", "people/eve", at(3))
    await store.put_role(role("dev", "z"), "root", at(4), create=True)
    versions = await store.role_versions("dev")
    assert [(each.version, each.actor, each.scopes) for each in versions] == [
        (1, "root", ("x",)),
        (2, "people/bob", ("x", "y")),
        (3, "people/eve", None),
        (4, "root", ("z",)),
    ]
    found = await store.role("dev")
    assert found is not None
    assert found.version == 4


async def test_listings_are_sorted_and_paged_by_prefix(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    ids = ["a/1", "a/2", "a/~", "a0", "b", "A/1"]
    for version, client_id in enumerate(ids, start=1):
        await store.put_client(client(client_id), at(version), create=True)
    everything = await store.list_clients(prefix="", after="", limit=10)
    assert [each.client_id for each in everything] == ["A/1", "a/1", "a/2", "a/~", "a0", "b"]
    page = await store.list_clients(prefix="a/", after="", limit=2)
    assert [each.client_id for each in page] == ["a/1", "a/2"]
    rest = await store.list_clients(prefix="a/", after="a/2", limit=2)
    assert [each.client_id for each in rest] == ["a/~"]
    await store.put_role(role("x:*"), "root", at(7), create=True)
    await store.put_role(role("x:y"), "root", at(8), create=True)
    assert [each.role_id for each in await store.list_roles(prefix="x:", after="x:*", limit=5)] == ["x:y"]


async def test_the_audit_record_and_the_nonce_stand_or_fall_with_the_change(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    record = AuditRecord("root", "auth.createRole", "role/dev", "changed", {"added": ["x"]})
    nonce = Nonce("root", 1_769_860_800, "n")
    await store.put_role(role("dev", "x"), "root", at(1, record, nonce=nonce), create=True)
    with pytest.raises(ReplayedRequestError):
        await store.delete_role("dev", "root", at(2, record, nonce=nonce))
    with pytest.raises(ConflictError):
        await store.put_role(role("dev", "y"), "root", at(2, record), create=True)
    [entry] = await store.history("role/dev", before=2**60, limit=10)
    assert (entry.actor, entry.action, entry.at, entry.details) == (
        "root",
        "auth.createRole",
        NOW,
        {"added": ["x"]},
    )
    assert await store.history("role/dev", before=entry.id, limit=10) == []
    assert await store.role("dev") == role("dev", "x")


async def test_use_is_recorded_without_a_change_of_access(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    await store.put_client(client(), at(1), create=True)
    await store.touch_clients(["people/alice", "unknown"], NOW + timedelta(hours=7))
    assert await store.since(2) is None
    assert await store.client("people/alice") == client(last_used=NOW + timedelta(hours=7))


async def test_only_clients_to_be_deleted_on_expiry_are_listed_when_they_have_expired(engine: Engine) -> None:
    store = SqlAccessStore(engine)
    await store.put_client(client("keep", expires=NOW), at(1), create=True)
    await store.put_client(client("drop", expires=NOW, delete_on_expiration=True), at(2), create=True)
    later = NOW + timedelta(milliseconds=1)
    await store.put_client(client("later", expires=later, delete_on_expiration=True), at(3), create=True)
    assert await store.expired_clients(NOW, limit=10) == ["drop"]
    assert await store.expired_clients(later, limit=10) == ["drop", "later"]
    assert await store.expired_clients(later, limit=1) == ["drop"]
