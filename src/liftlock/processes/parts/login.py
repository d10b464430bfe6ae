"""Signing in by identity providers, and what third parties may ask for; nothing of it without a sign-in file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.login_store import SqlLoginStore
from liftlock.adapters.sql.session_store import SqlSessionStore
from liftlock.domain.credentials.login_settings import LoginSettings, ProviderSettings
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.ports.identity_provider import IdentityProvider
from liftlock.ports.session_store import SignInLink
from liftlock.processes.first_sign_in import FIRST_LINK_LASTS
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation
from liftlock.processes.settings import ControlPlaneSettings
from liftlock.processes.state_directory import ROOT_CLIENT
from liftlock.services.clients import Clients
from liftlock.services.page_sessions import PageSessions
from liftlock.services.provider_login import ProviderLogin
from liftlock.services.third_party_login import ThirdPartyLogin
from liftlock.values.instants import format_instant, to_ms
from liftlock.values.json import decode_as
from liftlock.web.pages import provider_login, third_party
from liftlock.web.pages.page import Page
from liftlock.web.pages.sign_in import SignInMethod
from liftlock.web.third_party_endpoints import ThirdPartyEndpoints


@dataclass(frozen=True, slots=True)
class Login:
    """What the site and the application take of it."""

    pages: tuple[Page, ...]
    methods: tuple[SignInMethod, ...]
    endpoints: ThirdPartyEndpoints
    loops: tuple[Loop, ...]


def build(base: Foundation, sessions: PageSessions) -> Login:
    """Return the pages, the endpoints and the loop."""
    told = decode_as(base.told.login or "{}", LoginSettings, what="sign-in file")
    store = SqlLoginStore(base.engine)
    login = ProviderLogin(_providers(told, base.clock), store, sessions, base.entropy)
    clients = Clients(base.access_store, base.access, base.sealer, base.entropy)
    parties = ThirdPartyLogin(told, store, clients, base.authorizer, base.entropy)

    async def expire() -> None:
        await store.expire(to_ms(base.clock.now()))

    return Login(
        (*provider_login.routes(login, told.address or base.told.root_url), *third_party.routes(parties)),
        tuple(provider_login.methods(login)),
        ThirdPartyEndpoints(parties, base.clock),
        (Loop("forget sign-ins that are over", expire, 60),),
    )


async def offer_first(told: ControlPlaneSettings, engine: Engine, clock: Clock) -> None:
    """Store the sign-in link of the first start, if the settings name one."""
    if not told.first_sign_in:
        return
    now = clock.now()
    link = SignInLink(
        id=told.first_sign_in,
        client_id=ROOT_CLIENT,
        made_by="liftlock up",
        created_ms=to_ms(now),
        expires_ms=to_ms(now + FIRST_LINK_LASTS),
    )
    audit = AuditRecord(
        "liftlock/up",
        "auth.makeSignInLink",
        f"client/{ROOT_CLIENT}",
        "changed",
        {"expires": format_instant(now + FIRST_LINK_LASTS)},
    )
    await SqlSessionStore(engine).put_link(link, Envelope(now=now, audit=(audit,)))


def _providers(told: LoginSettings, clock: Clock) -> Sequence[IdentityProvider]:
    if not told.provider:
        return ()
    # An extra, which loads slowly: imported where a provider is configured.
    from liftlock.adapters.login.github import GithubProvider  # noqa: PLC0415 -- as above
    from liftlock.adapters.login.oidc import OidcProvider  # noqa: PLC0415 -- as above

    def made(one: ProviderSettings) -> IdentityProvider:
        return GithubProvider(one) if one.kind == "github" else OidcProvider(one, clock)

    return [made(one) for one in told.provider]
