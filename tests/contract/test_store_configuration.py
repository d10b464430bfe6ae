"""The store of what was applied keeps its promises on both databases."""

from __future__ import annotations

import msgspec
import pytest

from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.actions.policy import DomainPolicy
from liftlock.errors import ConflictError
from liftlock.ports.configuration_store import AppliedRecord
from liftlock.ports.envelope import Envelope
from task_builders import NOW

AT = Envelope(now=NOW)


async def test_what_was_applied_is_replaced_only_by_who_has_seen_it(engine: Engine) -> None:
    store = SqlConfigurationStore(engine)
    assert await store.applied("demo") is None
    first = AppliedRecord("demo", 1, {}, {"Role=a": "d"}, {}, "people/robin", NOW)
    await store.put_applied(first, AT)
    assert await store.applied("demo") == first
    with pytest.raises(ConflictError, match="no longer at version 0: somebody else applies it; plan again"):
        await store.put_applied(first, AT)
    second = msgspec.structs.replace(
        first, version=2, digests={"Role=a": "d"}, target=None, secrets={"s": "h"}
    )
    await store.put_applied(second, AT)
    assert await store.applied("demo") == second
    for version in (2, 4):
        with pytest.raises(ConflictError):
            await store.put_applied(msgspec.structs.replace(first, version=version), AT)
    assert await store.applied("demo") == second
    assert await store.applied("other") is None


async def test_policies_are_replaced_and_forgotten(engine: Engine) -> None:
    store = SqlConfigurationStore(engine)
    assert await store.policies() == {}
    one = DomainPolicy((1,), ("generic", "p"), ("generic",), {"p": {"type": "object"}})
    await store.put_policy("demo", DomainPolicy(), AT)
    await store.put_policy("demo", one, AT)
    await store.put_policy("other", DomainPolicy(), AT)
    assert await store.policies() == {"demo": one, "other": DomainPolicy()}
    await store.put_policy("demo", None, AT)
    await store.put_policy("demo", None, AT)
    assert list(await store.policies()) == ["other"]
