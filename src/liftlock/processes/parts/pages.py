"""The pages: sessions, sign-in links, and one module a screen."""

from __future__ import annotations

from liftlock.adapters.blobs.local import LocalBlobs
from liftlock.adapters.log_files.anonymous import AnonymousLogFiles
from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.adapters.sql.overview_store import SqlOverviewStore
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.adapters.sql.session_store import SqlSessionStore
from liftlock.processes.loops import Loop
from liftlock.processes.parts import login, screens
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.processes.parts.hooks import HookServices
from liftlock.processes.parts.operations import OperationServices
from liftlock.processes.parts.queue import BLOBS
from liftlock.services.artifact_reads import ArtifactReads
from liftlock.services.audit_log import AuditLog
from liftlock.services.escalation_paths import EscalationPaths
from liftlock.services.explain_access import ExplainAccess
from liftlock.services.fire_hook import FireHook
from liftlock.services.live_changes import LiveChanges
from liftlock.services.log_views import LogViews
from liftlock.services.offered_actions import OfferedActions
from liftlock.services.page_sessions import PageSessions
from liftlock.services.recent_pushes import FindRecentPushes
from liftlock.services.sign_in_links import SignInLinks
from liftlock.services.simulate_hook import SimulateHook
from liftlock.services.task_groups_seen import TaskGroupsSeen
from liftlock.services.task_queries import TaskQueries
from liftlock.web import api_sign_in
from liftlock.web.pages import access, live, pushes, sign_in
from liftlock.web.pages.actions import Actions
from liftlock.web.pages.groups import Groups
from liftlock.web.pages.hooks import HookPages
from liftlock.web.pages.logs import Logs
from liftlock.web.pages.site import Site
from liftlock.web.pages.tasks import Tasks
from liftlock.web.third_party_endpoints import ThirdPartyEndpoints


def part(
    base: Foundation,
    hooks: HookServices,
    fire: FireHook,
    operations: OperationServices,
    log: AuditLog,
) -> tuple[Part, Site, ThirdPartyEndpoints]:
    """Return the routes of sign-in links with the loops of sessions, the pages, and what third parties call."""
    store, overview = SqlSessionStore(base.engine), SqlOverviewStore(base.engine)
    push_store = SqlPushStore(base.engine)
    blobs = LocalBlobs(base.directory / BLOBS)
    artifacts = SqlArtifactStore(base.engine)
    reads = ArtifactReads(base.tasks, artifacts, blobs, base.sealer, base.wakeups, base.credentials)
    sessions = PageSessions(store, base.authorizer, base.access, base.entropy)
    signing = login.build(base, sessions)
    links = SignInLinks(store, sessions, base.access, base.entropy)
    queries = TaskQueries(base.tasks)
    offered = OfferedActions(
        base.tasks,
        reads,
        base.authorizer,
        fire,
        SimulateHook(hooks.store, fire),
        base.create_task,
        base.entropy,
    )
    log_files = AnonymousLogFiles(base.directory / "log-views")
    views = LogViews(reads, artifacts, blobs, log_files, base.wakeups)
    groups, changes = TaskGroupsSeen(overview), LiveChanges(overview, base.wakeups)
    gate = screens.gate_seen(base)
    site = Site(
        [
            *sign_in.routes(sessions, links, signing.methods),
            *signing.pages,
            *live.routes(changes),
            *pushes.routes(FindRecentPushes(push_store, overview), groups, changes, gate),
            *Groups(groups, push_store, changes).routes(),
            *Tasks(base.tasks, queries, reads, push_store, changes).routes(),
            *Actions(base.tasks, offered).routes(),
            *access.routes(ExplainAccess(base.access), EscalationPaths(base.access, hooks.store)),
            *HookPages(hooks.hooks).routes(),
            *Logs(base.tasks, queries, views).routes(),
            *screens.pages(base, reads, changes, operations, log, gate),
        ],
        sessions,
        base.authorizer,
        base.clock,
    )

    async def expire() -> None:
        await sessions.expire(base.clock.now())

    loops = (Loop("forget ended sessions", expire, 300), *signing.loops)
    return Part(tuple(api_sign_in.routes(links)), loops), site, signing.endpoints
