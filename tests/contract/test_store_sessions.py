"""Sessions of the pages and sign-in links, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.session_store import SqlSessionStore
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.session_store import SessionRecord, SignInLink
from liftlock.values.instants import to_ms
from task_builders import NOW

AT = Envelope(now=NOW)
MS = to_ms(NOW)


def session(number: int = 1, **changes: Any) -> SessionRecord:
    made = SessionRecord(
        id=f"{number:064x}",
        client_id="people/robin",
        scopes=None,
        proof="p",
        method="link",
        created_ms=MS + number,
        expires_ms=MS + 1000,
    )
    return msgspec.structs.replace(made, **changes)


def link(expires_ms: int = MS + 1000) -> SignInLink:
    return SignInLink(
        id="f" * 64, client_id="people/robin", made_by="root", created_ms=MS, expires_ms=expires_ms
    )


async def test_a_session_is_kept_found_and_ended(engine: Engine) -> None:
    store = SqlSessionStore(engine)
    for number, scopes in ((1, None), (2, ()), (3, ("assume:login-identity:github/1", "x"))):
        record = session(number, scopes=scopes)
        assert await store.begin(record, AT, ends=None, link=None)
        assert await store.session(record.id) == record
    assert [one.id for one in await store.sessions_of("people/robin")] == [session(n).id for n in (3, 2, 1)]
    await store.end(session(2).id, AT)
    await store.end(session(2).id, AT)
    assert await store.session(session(2).id) is None
    assert await store.begin(session(4), AT, ends=session(1).id, link=None)
    assert await store.session(session(1).id) is None
    assert await store.begin(session(5, client_id="people/kim"), AT, ends=None, link=None)
    assert await store.end_all("people/robin", AT) == 2
    assert await store.session(session(5).id) is not None


async def test_a_link_begins_one_session_until_the_instant_it_expires(engine: Engine) -> None:
    store = SqlSessionStore(engine)
    await store.put_link(link(), AT)
    assert await store.link(link().id) == link()
    late = Envelope(now=NOW + timedelta(seconds=1))
    assert not await store.begin(session(1), late, ends=None, link=link().id)
    assert not await store.begin(session(2, client_id="people/kim"), AT, ends=None, link=link().id)
    just = Envelope(now=NOW + timedelta(milliseconds=999))
    assert await store.begin(session(3), just, ends=None, link=link().id)
    assert not await store.begin(session(4), just, ends=session(3).id, link=link().id)
    assert await store.session(session(3).id) is not None, "a used link ends nothing"
    assert await store.session(session(4).id) is None
    assert await store.link(link().id) is None


async def test_sessions_and_links_are_forgotten_after_they_expired(engine: Engine) -> None:
    store = SqlSessionStore(engine)
    await store.put_link(link(), AT)
    await store.begin(session(1), AT, ends=None, link=None)
    assert await store.expire(MS + 1000) == 0
    assert await store.expire(MS + 1001) == 2


async def test_a_sign_in_commits_with_its_audit_record(engine: Engine) -> None:
    record = AuditRecord("people/robin", "pages.signIn", "client/people/robin", "allowed")
    await SqlSessionStore(engine).begin(session(), Envelope(now=NOW, audit=(record,)), ends=None, link=None)

    def script() -> Script[list[tuple[Any, ...]]]:
        return (yield Sql("SELECT actor, action, subject FROM audit"))

    assert await engine.read(script) == [("people/robin", "pages.signIn", "client/people/robin")]
