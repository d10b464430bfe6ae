"""From an artifact to the push that brought it about: each link checked, each check green or red with its reason.

Source: docs/reference/provenance.md#walk
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, SignedChain, read_chain
from liftlock.domain.provenance.evidence import ACTIONS_NAME, Evidence, RunEvidence, is_graph
from liftlock.domain.provenance.graph import generated_by
from liftlock.domain.provenance.inputs_check import check_inputs, check_pipe
from liftlock.domain.provenance.keys import UntrustedError
from liftlock.domain.provenance.origin import check_push, offers_action
from liftlock.domain.provenance.producers import Trust, check_key, check_producer, proven_level, why_level
from liftlock.domain.provenance.statement import STATEMENT_NAME

State = Literal["green", "red", "unseen"]
Link = Literal["artifact", "run", "input", "graph", "decision", "push"]
_UNATTESTED = frozenset({CHAIN_NAME, SIGNATURE_NAME, STATEMENT_NAME})


class Check(msgspec.Struct, frozen=True, rename="camel"):
    """One check. `unseen`: nothing was given that could be looked at, which is no proof."""

    link: Link
    state: State
    subject: str
    text: str


class Walk:
    """Walks `evidence`, believing nobody but `trust`; `checks` are in the order in which they were made."""

    def __init__(self, evidence: Evidence, trust: Trust) -> None:
        self._evidence = evidence
        self._trust = trust
        self._chains: dict[str, SignedChain | None] = {}
        self._walked: set[str] = set()
        self.checks: list[Check] = []
        self.level = 0

    @property
    def holds(self) -> bool:
        """Tell whether no check is red; what was not seen does not count."""
        return all(check.state != "red" for check in self.checks)

    def __call__(self, *, least_level: int = 1) -> bool:
        """Walk from the evidence's task to its push and return whether it holds, at `least_level` or above."""
        target = self._evidence.task_id
        chain = self._chain(target)
        if chain is None:
            return False
        self.level = proven_level(chain)
        required = max(self.level, least_level)
        told = f"level {self.level}{why_level(chain)}"
        wrong = f"below level {least_level}, although every signature is valid"
        self._say("run", self.level >= least_level, target, told, wrong)
        self._artifacts(chain, self._evidence.run(target))
        self._origin(chain, required, {target})
        return self.holds

    def _say(self, link: Link, good: bool, subject: str, text: str, wrong: str = "") -> None:
        said = text if good or not wrong else f"{text}: {wrong}"
        self.checks.append(Check(link, "green" if good else "red", subject, said))

    def _red(self, link: Link, subject: str, text: str) -> None:
        self.checks.append(Check(link, "red", subject, text))

    def _chain(self, task_id: str) -> SignedChain | None:
        """Return the verified chain of a task; what is wrong with it is a red check, once."""
        if task_id not in self._chains:
            self._chains[task_id] = self._verified(task_id)
        return self._chains[task_id]

    def _verified(self, task_id: str) -> SignedChain | None:
        found = self._evidence.run(task_id)
        if found is None:
            why = self._evidence.missing.get(task_id, "it is not in the evidence")
            self._red("run", task_id, f"there is no chain of trust: {why}")
            return None
        try:
            chain = read_chain(found.chain, found.signature, self._trust.valid_pools)
            check_key(chain, self._trust)
        except UntrustedError as error:
            self._red("run", task_id, error.message)
            return None
        if chain.task_id != task_id:
            self._red("run", task_id, f"the chain of trust is that of task {chain.task_id}")
            return None
        who = chain.certificate
        name = _told(chain, "metadata", "name")
        text = (
            f"{name!r} run {chain.run_id}: signed by worker {who.worker_group}/{who.worker_id} of {who.pool}"
        )
        self._say("run", chain.outcome == "completed", task_id, text, f"the run {chain.outcome}")
        return chain

    def _artifacts(self, chain: SignedChain, found: RunEvidence | None) -> None:
        observed = {} if found is None else found.observed
        for name in sorted(chain.artifacts):
            seen = observed.get(name)
            if seen is None:
                self.checks.append(Check("artifact", "unseen", name, "its bytes were not given"))
            else:
                attested = chain.artifacts[name]
                wrong = f"expected sha256 {attested}, observed {seen}"
                self._say(
                    "artifact",
                    seen == attested,
                    name,
                    f"sha256 {attested}" if seen == attested else "mutated",
                    wrong,
                )
        for name in sorted(set(observed) - set(chain.artifacts) - _UNATTESTED):
            self._red("artifact", name, "the chain of trust does not have it: nobody attested it")

    def _origin(self, chain: SignedChain, level: int, seen: set[str]) -> None:
        """Check what a run read, and who caused it, up to the push."""
        if chain.task_id in self._walked:
            return
        self._walked.add(chain.task_id)
        self._inputs(chain, level, seen)
        group = str(chain.task.get("taskGroupId"))
        if chain.task_id == group:
            self._decision(chain, level)
            return
        parent = _told(chain, "extra", "parent") or group
        if parent in seen:
            self._red("graph", chain.task_id, f"it claims to be made by {parent}, which comes of itself")
            return
        made_by = self._chain(parent)
        if made_by is None or not self._is_good_enough("graph", made_by, level):
            return
        if (
            parent != str(made_by.task.get("taskGroupId"))
            and _told(made_by, "extra", "tasks_for") != "action"
        ):
            self._red("graph", chain.task_id, f"it claims to be made by {parent}, which decides on nothing")
            return
        if _told(chain, "extra", "tasks_for") == "action":
            self._action(chain, made_by)
        else:
            self._generated(chain, made_by)
        self._origin(made_by, level, seen | {parent})

    def _inputs(self, chain: SignedChain, level: int, seen: set[str]) -> None:
        problems, reads = check_inputs(chain)
        for problem in problems:
            self._red("input", chain.task_id, problem)
        if not problems:
            count = len(chain.inputs)
            self._say("input", True, chain.task_id, f"read what it declared and nothing else: {count} inputs")
        for read in reads:
            if read.task_id in seen:
                self._red("input", chain.task_id, f"{read.name}: it was made by a task that comes of it")
                continue
            producer = self._chain(read.task_id)
            if producer is None or not self._is_good_enough("input", producer, level):
                continue
            wrong = check_pipe(read, producer.task)
            if wrong is not None:
                self._red("input", chain.task_id, wrong)
                continue
            attested = producer.artifacts.get(read.artifact)
            is_same = attested == read.sha256
            text = f"{read.name} is {read.artifact} of {read.task_id}"
            self._say("input", is_same, chain.task_id, text, f"made as {attested}, read as {read.sha256}")
            if is_same:
                self._origin(producer, level, seen | {read.task_id})

    def _is_good_enough(self, link: Link, chain: SignedChain, level: int) -> bool:
        try:
            check_producer(chain, level, self._trust)
        except UntrustedError as error:
            self._red(link, chain.task_id, f"{error.message} (every signature is valid)")
            return False
        return True

    def _document(self, chain: SignedChain, name: str) -> bytes | None:
        """Return an artifact's bytes from the evidence if they are what the chain says."""
        found = self._evidence.run(chain.task_id)
        content = None if found is None else found.documents.get(name)
        if content is None:
            self._red("graph", chain.task_id, f"{name} is not in the evidence")
            return None
        return content if self._is_attested(chain, name, content) else None

    def _is_attested(self, chain: SignedChain, name: str, content: bytes) -> bool:
        observed, attested = sha256_of(content), chain.artifacts[name]
        if observed != attested:
            self._red(
                "graph", chain.task_id, f"{name} mutated: expected sha256 {attested}, observed {observed}"
            )
        return observed == attested

    def _generated(self, chain: SignedChain, made_by: SignedChain) -> None:
        differences = []
        for name in sorted(filter(is_graph, made_by.artifacts)):
            content = self._document(made_by, name)
            if content is None:
                return
            try:
                wrong = generated_by(content, chain.task_id, chain.task, made_by.task_id)
            except UntrustedError as error:
                wrong = error.message
            if wrong is None:
                self._say("graph", True, chain.task_id, f"its definition is what {made_by.task_id} generated")
                return
            differences.append(f"{name}: {wrong}")
        why = "; ".join(differences) or "it made no graph"
        self._red("graph", chain.task_id, f"{made_by.task_id} did not generate it as it is: {why}")

    def _action(self, chain: SignedChain, decision: SignedChain) -> None:
        name = _told(chain, "extra", "action", "name")
        if ACTIONS_NAME not in decision.artifacts:
            self._red("graph", chain.task_id, f"{decision.task_id} offers no actions")
            return
        content = self._document(decision, ACTIONS_NAME)
        if content is not None:
            offered = offers_action(content, name)
            self._say(
                "graph", offered, chain.task_id, f"action {name!r} of {decision.task_id}", "it is not offered"
            )

    def _decision(self, chain: SignedChain, level: int) -> None:
        push = self._evidence.pushes.get(chain.task_id)
        if push is None:
            self._red("decision", chain.task_id, "no push is recorded that started this group")
            return
        problems, text = check_push(chain, push, level)
        for problem in problems:
            self._red("push", chain.task_id, problem)
        if not problems:
            self._say("decision", True, chain.task_id, f"decides on revision {push.get('revision')}")
            self._say("push", True, chain.task_id, text)


def _told(chain: SignedChain, *path: str) -> str:
    """Return the text at `path` of the definition, which is the task author's to choose; empty if there is none."""
    found: Any = chain.task
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found[:80] if isinstance(found, str) else ""


def sha256_of(content: bytes) -> str:
    """Return the sha256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def checks_wire(checks: list[Check]) -> list[dict[str, Any]]:
    """Return the checks as JSON."""
    return [msgspec.to_builtins(check) for check in checks]
