"""One run of a stage 2: what it performs, what it refuses, and that nothing it tells holds a secret, whatever fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from admission_world import NAME, WHEEL, Handoff
from fakes.certified_signer import CertifiedSigner, Pool
from fakes.direct_parser import DirectParser
from fakes.fake_package_index import FakePackageIndex
from fakes.fake_queue_client import FakeQueueClient
from fakes.settable_time import SettableClock
from liftlock.adapters.git.targets import GitTargets
from liftlock.domain.approvals.approval import approval_wire
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.operations.definition import PRIVILEGED_QUEUE, Operation
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, read_chain
from liftlock.errors import InputValidationError, StorageError
from liftlock.ports.confined_parser import Parsing
from liftlock.privileged.parts import Parts
from liftlock.privileged.performing import Performed, PerformRefusedError, Tools, Work
from liftlock.privileged.run import PrivilegedRun
from liftlock.values.secret import Secret
from operation_builders import NOW, STAGE1, STAGE2, Signer, operation

CANARY = "canary-of-a-privileged-run-99"
Act = Callable[[Work], Performed]


@dataclass(slots=True)
class Leaky:
    """A privileged operation that does what the test says, with the secret in its hands."""

    act: Act
    kind: str = "leaky"
    parsings: Mapping[str, Parsing] = field(default_factory=dict)

    def check(self, operation: Operation) -> None:
        pass

    async def perform(self, work: Work, tools: Tools) -> Performed:
        assert work.files == {NAME.removeprefix("artifacts/"): WHEEL}
        return self.act(work)


@dataclass(slots=True)
class Secrets:
    """One sealed secret; `opened` counts."""

    opened: list[tuple[str, str]] = field(default_factory=list)

    def open(self, operation: str, name: str) -> Secret:
        self.opened.append((operation, name))
        return Secret(CANARY)


@dataclass(slots=True)
class Told:
    """The control plane's side of a handoff."""

    answer: dict[str, Any]

    async def handoff(self, credentials: Credentials, task_id: str) -> dict[str, Any]:
        return self.answer


@dataclass(slots=True)
class Stage:
    """A privileged worker with one claim."""

    folder: Path
    handoff: Handoff
    act: Act
    secrets: Secrets = field(default_factory=Secrets)
    queue: FakeQueueClient = field(default_factory=FakeQueueClient)
    logged: list[Any] = field(default_factory=list)

    async def run(self, *, approved: bool = True) -> dict[str, Any]:
        """Perform the claim and return its result; everything that was told is looked through for the secret."""
        handoff, chain = self.handoff, self.handoff.chain()
        request = handoff.freeze(chain)
        approvals = [approval_wire(each) for each in handoff.approve(request)] if approved else []
        self.queue.others |= {
            (STAGE1, CHAIN_NAME): chain.content,
            (STAGE1, SIGNATURE_NAME): chain.signature,
            **{(STAGE1, name): content for name, content in handoff.files.items()},
        }
        run = self.queue.put({"operationId": request.operation_id}, STAGE2)
        parts = Parts(
            queue_id=PRIVILEGED_QUEUE,
            worker_group="local",
            worker_id="w",
            credentials=Credentials("worker", "token-of-the-worker"),
            own=handoff.own,
            kinds={"leaky": Leaky(self.act)},
            queue=self.queue,
            handoff=Told(json.loads(json.dumps({"frozen": request.document, "approvals": approvals}))),
            signer=CertifiedSigner(Pool(PRIVILEGED_QUEUE)),
            trusted=handoff.pools,
            secrets=self.secrets,
            tools=Tools(DirectParser.of_all(), FakePackageIndex(), GitTargets(self.folder)),
            clock=SettableClock(NOW),
        )
        claim = self.queue.waiting.get_nowait()
        with capture_logs() as logged:
            await PrivilegedRun(parts, claim)()
        self.logged = list(logged)
        for name, content in {name: data for (_, name), data in self.queue.artifacts.items()}.items():
            assert CANARY.encode() not in content, name
        assert CANARY not in repr(logged)
        found: dict[str, Any] = json.loads(self.queue.artifacts[run, "public/result.json"])
        return found

    @property
    def text(self) -> str:
        [log] = [data for (_, name), data in self.queue.artifacts.items() if name == "public/logs/live.log"]
        return log.decode()

    @property
    def outcome(self) -> str:
        [(_, outcome)] = self.queue.reports
        return outcome


@pytest.fixture
def made(tmp_path: Path) -> Callable[[Act], Stage]:
    morgan = Signer.make("morgan", tmp_path)
    one = operation(stage2={"kind": "leaky", "secrets": {"token": "sealed"}})
    return lambda act: Stage(tmp_path, Handoff(morgan, operation=one), act)


async def test_what_is_admitted_is_performed_recorded_and_signed(made: Callable[[Act], Stage]) -> None:
    stage = made(lambda work: Performed("done", {"sizes": [1]}, {"public/made.txt": b"made"}))
    result = await stage.run()
    assert (result["verdict"], result["summary"], result["facts"]) == ("performed", "done", {"sizes": [1]})
    assert stage.outcome == "completed"
    assert stage.secrets.opened == [], "what needs no secret opens none"
    artifacts = {name: data for (_, name), data in stage.queue.artifacts.items()}
    assert artifacts["public/made.txt"] == b"made"
    chain = read_chain(artifacts[CHAIN_NAME], artifacts[SIGNATURE_NAME], (Pool(PRIVILEGED_QUEUE).key,))
    assert set(chain.artifacts) == {"public/made.txt", "public/result.json", "public/logs/live.log"}


async def test_without_approvals_nothing_is_performed_and_no_secret_is_opened(
    made: Callable[[Act], Stage],
) -> None:
    def act(work: Work) -> Performed:
        raise AssertionError("it was performed")

    stage = made(act)
    result = await stage.run(approved=False)
    assert (result["verdict"], result["rule"]) == ("refused", "approvals")
    assert (stage.outcome, stage.secrets.opened) == ("failed", [])


def _fails(make: Callable[[str], Exception]) -> Act:
    def act(work: Work) -> Performed:
        raise make(work.secret("token").reveal())

    return act


def _note(work: Work) -> Performed:
    secret = work.secret("token").reveal()
    work.note(f"with {secret}")
    return Performed(f"used {secret}", {"header": f"Bearer {secret}", secret: [secret]})


def _publish(work: Work) -> Performed:
    return Performed("made", {}, {"public/x": work.secret("token").reveal().encode()})


@pytest.mark.parametrize(
    ("act", "verdict", "rule"),
    [
        (_note, "performed", None),
        (_publish, "refused", "PerformRefused"),
        (_fails(lambda secret: ValueError(f"bad {secret}")), "failed", "error"),
        (_fails(KeyError), "failed", "error"),
        (_fails(lambda secret: StorageError(f"bad {secret}")), "failed", "StorageError"),
        (_fails(lambda secret: InputValidationError(f"bad {secret}")), "refused", "InputValidationError"),
        (_fails(lambda secret: PerformRefusedError(f"bad {secret}", rule="theirs")), "refused", "theirs"),
    ],
)
async def test_no_log_result_or_traceback_has_the_secret_whatever_fails(
    made: Callable[[Act], Stage], act: Act, verdict: str, rule: str | None
) -> None:
    stage = made(act)
    result = await stage.run()
    assert (result["verdict"], result.get("rule")) == (verdict, rule)
    assert stage.secrets.opened == [("publish-widget", "sealed")]
    assert "approved by morgan" in stage.text
    if rule == "error":
        assert result["message"].endswith("Error; it is no refusal that was foreseen")


async def test_a_file_that_is_not_of_its_type_is_refused_before_a_secret_is_opened(
    made: Callable[[Act], Stage],
) -> None:
    stage = made(_note)
    stage.handoff.files = {NAME: b"no zip"}
    result = await stage.run()
    assert (result["verdict"], result["rule"]) == ("refused", "contract-type")
    assert result["message"] == "dist/w.whl: its content is not of type zip"
    assert stage.secrets.opened == []
