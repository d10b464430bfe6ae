"""A forge's app on a real store, for tests: webhooks signed with its secret, a forge in memory, operations in memory."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.counted_entropy import CountedEntropy
from fakes.fake_operation_desk import FakeOperationDesk
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.forge_store import SqlForgeStore
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.forge.settings import ForgeRepository, GitHubSettings, parse_github
from liftlock.ports.forge import Check, ForgeUnavailableError, PullFacts
from liftlock.services.answer_forge import AnswerForge
from liftlock.services.decide_pull import DecidePull
from liftlock.services.decisions_told import DecisionsTold
from liftlock.services.forge_commands import ForgeCommands
from liftlock.services.receive_webhook import ReceiveWebhook, WebhookHeaders
from push_world import PushWorld

SECRET = b"the webhook's secret of the tests"
APP, INSTALLATION, REPOSITORY = 4711, 99, 1296269
ROBIN, STRANGER = 1, 666
AT = "2026-03-01T11:59:30Z"
"""Half a minute before the clock of these tests."""
HEAD = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
SETTINGS = parse_github(
    {
        "app-id": APP,
        "webhook-secret-file": "/s",
        "private-key-file": "/k",
        "repository": [
            {
                "id": REPOSITORY,
                "full-name": "octocat/Hello-World",
                "installation": INSTALLATION,
                "project": "widget",
                "commands": {"format": "format-widget", "publish": "publish-widget"},
                "pull-requests": True,
                "vouches": True,
            }
        ],
        "person": [{"id": ROBIN, "client": "people/robin"}],
    }
)
ROLE = f"github-user:{ROBIN}"


class FakeForge:
    """Implements `ports.forge.Forge` in memory."""

    def __init__(self) -> None:
        self.pulls: dict[int, PullFacts] = {}
        self.reactions: list[int] = []
        self.comments: dict[str, tuple[int, str]] = {}
        self.checks: dict[int, Check] = {}
        self.failures: list[ForgeUnavailableError] = []

    def open(self, number: int = 7, **changes: Any) -> None:
        """Add an open pull request."""
        given: dict[str, Any] = {
            "number": number,
            "is_open": True,
            "head_ref": "topic",
            "head_revision": HEAD,
            "head_repository": REPOSITORY,
            "base_ref": "main",
            "base_repository": REPOSITORY,
            "author": ROBIN,
        }
        self.pulls[number] = PullFacts(**(given | changes))

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def pull(self, repository: ForgeRepository, number: int) -> PullFacts:
        self._fail()
        return self.pulls[number]

    async def react(self, repository: ForgeRepository, comment: int) -> None:
        self._fail()
        self.reactions.append(comment)

    async def comment(self, repository: ForgeRepository, number: int, text: str, mark: str) -> None:
        self._fail()
        self.comments.setdefault(mark, (number, text))

    async def check(self, repository: ForgeRepository, check: Check, run: int | None) -> int:
        self._fail()
        ours = (known for known, made in self.checks.items() if made.external_id == check.external_id)
        number = run if run is not None else next(ours, 5000 + len(self.checks))
        self.checks[number] = check
        return number


@dataclass
class ForgeWorld:
    """A control plane with the app of `SETTINGS`; robin's role may ask for what is configured."""

    engine: Engine
    directory: Path
    settings: GitHubSettings = SETTINGS
    pushes: PushWorld = field(init=False)
    store: SqlForgeStore = field(init=False)
    forge: FakeForge = field(default_factory=FakeForge)
    desk: FakeOperationDesk = field(
        default_factory=lambda: FakeOperationDesk("format-widget", "publish-widget")
    )
    receive: ReceiveWebhook = field(init=False)
    answer: AnswerForge = field(init=False)
    deliveries: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.pushes = PushWorld(self.engine, self.directory)
        self.store = SqlForgeStore(self.engine)
        authorizer = self.pushes.access.authorizer
        self.receive = ReceiveWebhook(
            self.settings, SECRET, self.store, self.pushes.watch, InProcessWakeups()
        )
        pulls = DecidePull(
            self.store,
            self.pushes.store,
            self.pushes.repository,
            authorizer,
            self.pushes.create_task,
            CountedEntropy(),
        )
        self.answer = AnswerForge(
            self.settings,
            self.store,
            self.forge,
            self.desk,
            ForgeCommands(self.store, self.forge, self.desk, authorizer, "https://lift.example"),
            pulls,
            DecisionsTold(self.settings, self.store, self.pushes.store, self.pushes.tasks),
            authorizer,
            SqlLeases(self.engine),
            self.pushes.clock,
            "holder",
        )

    async def allow(self, *scopes: str) -> None:
        """Give robin's role these scopes."""
        await self.pushes.access.make_role(ROLE, *scopes)

    async def send(
        self,
        event: str,
        payload: dict[str, Any],
        *,
        secret: bytes = SECRET,
        delivery: str | None = None,
        **changes: Any,
    ) -> str:
        """Send a webhook, signed; return what became of it."""
        body = json.dumps(payload).encode()
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        name = f"delivery-{next(self.deliveries):04d}" if delivery is None else delivery
        headers = {"event": event, "delivery": name, "signature": signature, "target": str(APP)} | changes
        return await self.receive(WebhookHeaders(**headers), body, self.pushes.clock.now())

    async def audit(self) -> list[tuple[Any, ...]]:
        """Return actor, subject, verdict of all that was received."""

        def script() -> Script[list[tuple[Any, ...]]]:
            return (
                yield Sql(
                    "SELECT actor, subject, verdict FROM audit WHERE action = 'forge.receive' ORDER BY id"
                )
            )

        return await self.engine.read(script)


def told(sender: int = ROBIN, **more: Any) -> dict[str, Any]:
    """Return what every webhook of the repository says."""
    return {
        "sender": {"id": sender, "login": "robin" if sender == ROBIN else "mallory"},
        "repository": {"id": REPOSITORY, "full_name": "octocat/Hello-World"},
        "installation": {"id": INSTALLATION},
    } | more


def comment(
    text: str, *, sender: int = ROBIN, number: int = 7, at: str | None = AT, **more: Any
) -> dict[str, Any]:
    """Return the webhook of a new comment on a pull request, written at `at`."""
    said = {"id": 31, "user": {"id": sender, "login": "x"}, "body": text, "created_at": at}
    return told(sender, action="created", issue={"number": number, "pull_request": {}}, comment=said, **more)


def pull(
    number: int = 7, revision: str = HEAD, *, association: str = "MEMBER", action: str = "opened", **more: Any
) -> dict[str, Any]:
    """Return the webhook of a pull request."""
    repo = {"id": REPOSITORY, "full_name": "octocat/Hello-World"}
    said = {
        "number": number,
        "title": "A title",
        "updated_at": AT,
        "user": {"id": STRANGER, "login": "mal'; rm -rf /"},
        "author_association": association,
        "head": {"ref": "topic$(x)", "sha": revision, "repo": repo},
        "base": {"ref": "main", "sha": "b" * 40, "repo": repo},
    } | more
    return told(action=action, pull_request=said)
