"""Sign-ins under way and grants to programs, on both databases; and how long each holds, to the instant."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from access_world import NOW, World
from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.login_store import SqlLoginStore
from liftlock.adapters.sql.session_store import SqlSessionStore
from liftlock.domain.credentials.login_identity import Identity
from liftlock.domain.credentials.login_settings import LoginSettings, ThirdParty
from liftlock.domain.credentials.third_party import BEARER_LASTS, CODE_LASTS, Redemption, Wish
from liftlock.errors import AuthenticationFailedError, RefusedError
from liftlock.ports.envelope import Envelope
from liftlock.ports.login_store import LoginAttempt, ThirdPartyGrant
from liftlock.services.clients import ClientInput
from liftlock.services.page_sessions import PageSessions
from liftlock.services.provider_login import ATTEMPT_LASTS, ProviderLogin
from liftlock.services.third_party_login import ThirdPartyLogin
from liftlock.values.instants import to_ms

AT = Envelope(now=NOW)
MS = to_ms(NOW)
ATTEMPT = LoginAttempt("a" * 64, "corp", "b" * 64, "v" * 43, "n" * 43, "/account", MS + 10)
GRANT = ThirdPartyGrant(
    "c" * 64, "code", "dashboard", "https://d.example/", "", "people/robin", ("x:*",), "", "people/robin/d-1",
    ("x:y",), MS + 1000, MS + 10,
)  # fmt: skip
PARTY = ThirdParty(
    client_id="dashboard",
    label="Dashboard",
    redirect_uris=("https://d.example/",),
    scopes=("x:*",),
    proof="none",
)
WISH = Wish(PARTY, "https://d.example/", "st", "", ("x:y",), timedelta(hours=1))
SENT = Redemption("dashboard", "https://d.example/", "", "")


async def test_what_is_taken_is_gone_and_a_bearer_token_is_no_code(engine: Engine) -> None:
    store = SqlLoginStore(engine)
    await store.begin(ATTEMPT)
    assert await store.take_attempt(ATTEMPT.id) == ATTEMPT
    assert await store.take_attempt(ATTEMPT.id) is None
    await store.grant(GRANT, AT)
    assert await store.take_grant(GRANT.id, "bearer") is None
    assert await store.take_grant(GRANT.id, "code") == GRANT
    assert await store.take_grant(GRANT.id, "code") is None


async def test_what_is_over_is_forgotten_and_nothing_else(engine: Engine) -> None:
    store = SqlLoginStore(engine)
    for number, expires in ((1, MS), (2, MS + 1)):
        await store.begin(msgspec.structs.replace(ATTEMPT, id=f"{number:064x}", expires_ms=expires))
        await store.grant(msgspec.structs.replace(GRANT, id=f"{number:064x}", expires_ms=expires), AT)
    await store.expire(MS)
    assert await store.take_attempt(f"{1:064x}") is None
    assert await store.take_grant(f"{1:064x}", "code") is None
    assert await store.take_attempt(f"{2:064x}") is not None
    assert await store.take_grant(f"{2:064x}", "code") is not None


class Honest:
    """Implements `ports.identity_provider.IdentityProvider`: everybody is subject-1."""

    name, label, issuer = "corp", "Corp", "https://corp.example"

    def __init__(self) -> None:
        self.state = ""

    async def address(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        assert len({state, nonce, verifier}) == 3
        self.state = state
        return f"{self.issuer}/authorize"

    async def identify(self, redirect_uri: str, code: str, nonce: str, verifier: str) -> Identity:
        return Identity("corp", "subject-1", "robin", ("developers",))


def sessions(world: World) -> PageSessions:
    return PageSessions(SqlSessionStore(world.engine), world.authorizer, world.access, CountedEntropy())


async def test_a_sign_in_that_takes_ten_minutes_is_over_at_that_instant(
    engine: Engine, tmp_path: Path
) -> None:
    world, provider = World(engine, tmp_path), Honest()
    login = ProviderLogin([provider], SqlLoginStore(engine), sessions(world), CountedEntropy())

    async def signed_in_after(wait: timedelta) -> str:
        sent = await login.begin("corp", "https://here.example/", "/account", NOW)
        answer = {"state": provider.state, "code": "c"}
        started, wanted = await login.finish(
            "corp", "https://here.example/", answer, sent.browser_secret, None, NOW + wait
        )
        assert wanted == "/account"
        return started.client_id

    assert await signed_in_after(ATTEMPT_LASTS - timedelta(milliseconds=1)) == "login/corp/subject-1"
    with pytest.raises(AuthenticationFailedError, match="took longer than ten minutes"):
        await signed_in_after(ATTEMPT_LASTS)


class Asked:
    """A person who is a client, signed in, and a program that asks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions = sessions(world)
        self.login = ThirdPartyLogin(
            LoginSettings(third_party=(PARTY,)),
            SqlLoginStore(world.engine),
            world.clients,
            world.authorizer,
            CountedEntropy(),
        )

    async def code(self, client_id: str = "people/robin") -> str:
        started = await self.sessions.begin(client_id, None, NOW, method="link")
        found = await self.sessions.find(started.secret, NOW)
        assert found is not None
        return await self.login.consent(found.caller, found.session, WISH, NOW)


async def asked(engine: Engine, folder: Path) -> Asked:
    world = World(engine, folder)
    robin = ClientInput(
        description="", expires=NOW + timedelta(days=1), delete_on_expiration=False, scopes=("x:*",)
    )
    await world.clients.create(await world.caller(), "people/robin", robin, NOW)
    return Asked(world)


async def test_a_code_and_a_token_hold_until_the_instant_they_end(engine: Engine, tmp_path: Path) -> None:
    it = await asked(engine, tmp_path)
    a_moment = timedelta(milliseconds=1)
    bearer, _ = await it.login.redeem(await it.code(), SENT, NOW + CODE_LASTS - a_moment)
    made = await it.login.credentials(bearer, NOW + CODE_LASTS - 2 * a_moment + BEARER_LASTS)
    assert made.client_id.startswith("people/robin/dashboard-")
    with pytest.raises(AuthenticationFailedError, match="the code is unknown, was used before, or is over"):
        await it.login.redeem(await it.code(), SENT, NOW + CODE_LASTS)
    bearer, _ = await it.login.redeem(await it.code(), SENT, NOW)
    with pytest.raises(AuthenticationFailedError, match="the bearer is unknown"):
        await it.login.credentials(bearer, NOW + BEARER_LASTS)


async def test_a_person_whose_client_was_disabled_meanwhile_lets_no_program_act(
    engine: Engine, tmp_path: Path
) -> None:
    it = await asked(engine, tmp_path)
    bearer, _ = await it.login.redeem(await it.code(), SENT, NOW)
    root = await it.world.caller()
    await it.world.clients.set_disabled(root, "people/robin", NOW, disabled=True)
    with pytest.raises(AuthenticationFailedError, match="client people/robin is not in force any more"):
        await it.login.credentials(bearer, NOW)


async def test_a_client_of_the_configuration_lets_no_program_act_for_it(
    engine: Engine, tmp_path: Path
) -> None:
    it = await asked(engine, tmp_path)
    with pytest.raises(RefusedError, match="sign in as a person"):
        await it.code("static/liftlock/root")


async def test_roles_that_change_between_the_steps_do_not_break_them(engine: Engine, tmp_path: Path) -> None:
    it = await asked(engine, tmp_path)
    code = await it.code()
    await it.world.roles.create(await it.world.caller(), "r1", "", ("y",), NOW)
    bearer, _ = await it.login.redeem(code, SENT, NOW)
    await it.world.roles.create(await it.world.caller(), "r2", "", ("y",), NOW)
    assert (await it.login.credentials(bearer, NOW)).expires == NOW + timedelta(hours=1)
