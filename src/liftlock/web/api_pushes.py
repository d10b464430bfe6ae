"""The pushes service: registered repositories, the push log, the source of what was pushed, doorbells, admissions."""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.pushes.project import Vcs
from liftlock.domain.pushes.ringing import parse_claims
from liftlock.services.admit_hooks import AdmitHooks
from liftlock.services.decide_again import DecideAgain
from liftlock.services.projects import Projects
from liftlock.services.push_log import PushLog
from liftlock.services.retry_decision import RetryDecision
from liftlock.services.watch_pushes import WatchPushes
from liftlock.web import paging
from liftlock.web.push_wire import (
    PUSH_QUERY,
    admission_wire,
    project_input,
    project_wire,
    push_number,
    push_query,
    push_wire,
)
from liftlock.web.routing import ApiRequest, Handler, Method, Reply, Route

BUNDLES: Final[dict[Vcs, str]] = {"git": "application/x-git-bundle", "hg": "application/x-hg-bundle"}


def routes(
    projects: Projects,
    log: PushLog,
    watch: WatchPushes,
    admit: AdmitHooks,
    retry: RetryDecision,
    again: DecideAgain,
    *,
    drop_box: str | None,
) -> list[Route]:
    """Return the service's routes, but for `/ping` and its like; `drop_box` is the folder for rings, if there is one."""
    return [
        *_project_routes(_ProjectHandlers(projects, watch, drop_box)),
        *_log_routes(_LogHandlers(log, retry, again)),
        *_admission_routes(log, admit),
    ]


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="pushes", method=method, path=path, name=name, handler=handler, title=title, **more)


class _ProjectHandlers:
    def __init__(self, projects: Projects, watch: WatchPushes, drop_box: str | None) -> None:
        self._projects = projects
        self._watch = watch
        self._drop_box = drop_box

    async def list(self, request: ApiRequest) -> object:
        return {"projects": [project_wire(each) for each in await self._projects.list(request.caller)]}

    async def get(self, request: ApiRequest) -> object:
        found = await self._projects.get(request.caller, request.params["project"])
        return project_wire(found, self._watch.last_look(found.name)) | {"dropBox": self._drop_box}

    async def register(self, request: ApiRequest) -> object:
        wanted = project_input(request.params["project"], request.payload)
        decide = bool(request.payload.get("decideExisting", False))
        made = await self._projects.register(request.caller, wanted, request.now, decide_existing=decide)
        await self._watch.ring(made.name, ())
        return project_wire(made)

    async def update(self, request: ApiRequest) -> object:
        wanted = project_input(request.params["project"], request.payload)
        return project_wire(await self._projects.update(request.caller, wanted, request.now))

    async def remove(self, request: ApiRequest) -> object:
        await self._projects.remove(request.caller, request.params["project"], request.now)
        return None

    async def ring(self, request: ApiRequest) -> object:
        """Take the hint; the answer is the same for projects that do not exist."""
        name = request.params["project"]
        vouches = request.caller.satisfies(f"pushes:vouch-pusher:{name}")
        await self._watch.ring(name, parse_claims(request.payload, authenticated=vouches))
        return {}


class _LogHandlers:
    def __init__(self, log: PushLog, retry: RetryDecision, again: DecideAgain) -> None:
        self._log = log
        self._retry = retry
        self._again = again

    async def list(self, request: ApiRequest) -> object:
        query = push_query(request.query)
        found = await self._log.find(request.caller, request.params["project"], query)
        answer: dict[str, Any] = {"pushes": [push_wire(push) for push in found]}
        if len(found) == query.limit:
            answer["continuationToken"] = paging.token(found[-1].id)
        return answer

    async def get(self, request: ApiRequest) -> object:
        number = push_number(request.params["pushId"])
        return push_wire(await self._log.get(request.caller, request.params["project"], number))

    async def retry(self, request: ApiRequest) -> object:
        number = push_number(request.params["pushId"])
        return push_wire(await self._retry(request.caller, request.params["project"], number, request.now))

    async def again(self, request: ApiRequest) -> object:
        number = push_number(request.params["pushId"])
        return {"taskId": await self._again(request.caller, request.params["project"], number, request.now)}

    async def source(self, request: ApiRequest) -> object:
        params = request.params
        vcs, chunks = await self._log.source(request.caller, params["project"], params["revision"])
        return Reply(body=chunks, headers={"content-type": BUNDLES[vcs]})


def _project_routes(handlers: _ProjectHandlers) -> list[Route]:
    manage = {"AllOf": ["pushes:manage-project:<project>", "assume:repo:<host>/<path>:*"]}
    wanted = "pushes/project-request"
    where = "/project/<project>"
    return [
        _route(
            "GET", "/projects", "listProjects", handlers.list, "List projects", scopes="pushes:list-projects"
        ),
        _route(
            "GET",
            where,
            "project",
            handlers.get,
            "Get a project, with what its last fetch said",
            scopes="pushes:get-project:<project>",
        ),
        _route(
            "PUT",
            where,
            "registerProject",
            handlers.register,
            "Register a repository",
            input=wanted,
            scopes=manage,
            description="Fetches at once. Branches that are there already are no pushes, unless decideExisting is true.",
        ),
        _route(
            "POST", where, "updateProject", handlers.update, "Change a project", input=wanted, scopes=manage
        ),
        _route(
            "DELETE",
            where,
            "removeProject",
            handlers.remove,
            "Remove a project; its push log stays",
            scopes="pushes:manage-project:<project>",
        ),
        _route(
            "POST",
            "/doorbell/<project>",
            "ring",
            handlers.ring,
            "Ring: something may have moved",
            input="pushes/ring-request",
            description=(
                "A hint without authority, so it needs no scope: liftlock looks for itself. With "
                "`pushes:vouch-pusher:<project>` the claims of who pushed count as authenticated."
            ),
        ),
    ]


def _log_routes(handlers: _LogHandlers) -> list[Route]:
    read = "pushes:list-pushes:<project>"
    return [
        _route(
            "GET",
            "/project/<project>/pushes",
            "listPushes",
            handlers.list,
            "List pushes, newest first",
            query=PUSH_QUERY,
            scopes=read,
        ),
        _route("GET", "/project/<project>/push/<pushId>", "push", handlers.get, "Get a push", scopes=read),
        _route(
            "POST",
            "/project/<project>/push/<pushId>/retry",
            "retryDecision",
            handlers.retry,
            "Decide a push again whose decision failed",
            scopes="pushes:retry-decision:<project>",
        ),
        _route(
            "POST",
            "/project/<project>/push/<pushId>/decide-again",
            "decideAgain",
            handlers.again,
            "Start a push's decision task once more, in a new group",
            description="With the role of the push's branch, from what was recorded of the push; each call starts one.",
            scopes="pushes:decide-again:<project>",
        ),
        _route(
            "GET",
            "/project/<project>/revision/<revision>/source",
            "getSource",
            handlers.source,
            "Get a recorded revision with its history, as a bundle of its kind",
            scopes="pushes:get-source:<project>",
        ),
    ]


def _admission_routes(log: PushLog, admit: AdmitHooks) -> list[Route]:
    async def waiting(request: ApiRequest) -> object:
        return {"admissions": [admission_wire(each) for each in await log.waiting(request.caller)]}

    async def consent(request: ApiRequest) -> object:
        said = request.payload
        admitted = await admit.admit(
            request.caller,
            said["trustDomain"],
            said["level"],
            said["permission"],
            said["digest"],
            request.now,
        )
        return admission_wire(admitted)

    return [
        _route(
            "GET",
            "/admissions",
            "listAdmissions",
            waiting,
            "List contents that wait for consent, or lost it",
            scopes="pushes:list-admissions",
        ),
        _route(
            "POST",
            "/admissions",
            "admitHooks",
            consent,
            "Admit a content of .taskcluster.yml for a permission at a level",
            input="pushes/admission-request",
            scopes="pushes:admit-hooks:<level>:<permission>",
        ),
    ]
