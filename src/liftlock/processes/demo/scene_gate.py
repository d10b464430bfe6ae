"""The push gate: a fix for a sensitive bug lands once it is approved, on git and on Mercurial, and not before (D)."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx2

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.gate_host import GatedRepository, GateHost, Landing, until
from liftlock.processes.demo.graph import RESOLVED
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import Stage
from liftlock.processes.demo.tracker_answers import TrackerModel
from liftlock.processes.demo.tracker_server import KEYS, serving

LIMIT_S: Final = 2.0
SCHEDULER: Final = "demo-level-1"
IDENTITIES: Final = {
    "ledger": "https://github.com/liftlock-demo/ledger",
    "ledger-hg": "https://hg.liftlock.example/ledger",
}
BRANCHES: Final = {"ledger": "main", "ledger-hg": "default"}
CONFIG: Final = f"""\
version: 1
tasks:
  - $if: 'tasks_for in ["github-push", "hg-push"]'
    then:
      taskQueueId: local/unprivileged
      schedulerId: {SCHEDULER}
      priority: low
      scopes:
        - 'assume:repo:${{repository.url[8:]}}:branch:${{push.branch}}'
        - 'pushes:get-source:${{repository.project}}'
      metadata:
        name: Decision Task
        description: 'What ${{push.revision}} needs, from ${{repository.type}}'
        owner: '${{push.owner}}@users.noreply.example'
        source: '${{repository.url}}'
      payload:
        inputs:
          - name: source
            '${{repository.type}}': {{project: '${{repository.project}}', revision: '${{push.revision}}'}}
            unpack: {{to: /build/ledger}}
        command:
          - - sh
            - -ec
            - |
              cd /build/ledger
              if [ -d .hg ]; then hg log -r . -T 'hg {{node}}: '; else git log -1 --format='git %H: '; fi
              tail -n 1 ledger.txt
        maxRunTime: 60
"""


def play(stage: Stage) -> None:
    """Set up a host with the gate, and take a fix through it."""
    stage.say("\nThe push gate: gated and feedd beside two repositories, following a bug tracker.")
    model = TrackerModel()
    with serving(model) as address:
        host = GateHost(stage.folder / "gate", model, address)
        try:
            _Scene(stage, host).play()
        finally:
            host.stop()


class _Scene:
    def __init__(self, stage: Stage, host: GateHost) -> None:
        self.stage = stage
        self.host = host
        homes = stage.folder / "homes" / "robin"
        self.repositories = [
            GatedRepository(name, kind, host.folder / f"{name}.{kind}", host.folder / f"{name}-clone", homes)
            for name, kind in (("ledger", "git"), ("ledger-hg", "hg"))
        ]
        self.fixes: dict[str, str] = {}

    def play(self) -> None:
        check = self.stage.report.check
        bug = self.host.model.file(
            summary="Use after free", keywords=("sec-high",), groups=("core-security",)
        )
        patch = self.host.model.attach(bug, flags=[("sec-approval", "?")])
        with check("gate-reject"):
            self._set_up(bug)
            self._rejected(bug)
        self.stage.report.demand("gate-reject")
        with check("gate-veto"):
            self._vetoed(bug, patch)
        with check("gate-grant"):
            self._granted(bug, patch)
        with check("gate-decision"):
            self._decided()
        with check("gate-stale"):
            self._stale()
        with check("gate-slipped"):
            self._slipped()

    # -----------------------------------------------------------------------------------------------------------------

    def _set_up(self, bug: int) -> None:
        self.host.gated.start()
        self.host.feedd.start()
        for each in self.repositories:
            each.create(CONFIG)
            self._register(each)
            self._do(
                "gate", "install", str(each.server), "--name", each.name, *self._run_options(), *self._hooks()
            )
        until(lambda: self.host.blocks(bug), "the list", self.host.feedd.log)

    def _register(self, each: GatedRepository) -> None:
        branch, identity = BRANCHES[each.name], IDENTITIES[each.name]
        self.stage.root.api.put(
            "auth",
            "roles",
            f"repo:{identity.removeprefix('https://')}:branch:{branch}",
            payload={
                "description": "Decision tasks of the ledger",
                "scopes": [
                    "queue:create-task:low:local/unprivileged",
                    "queue:create-task:project:none",
                    f"queue:scheduler-id:{SCHEDULER}",
                    f"pushes:get-source:{each.name}",
                ],
            },
        )
        self._do(
            *("project", "add", each.name, "--identity", identity, "--fetch", str(each.server)),
            *("--level", "1", "--branch", branch, "--trust-domain", "demo", "--vcs", each.kind),
        )
        self._do("push", "install-hook", each.name, str(each.server), *self._hooks())

    def _hooks(self) -> tuple[str, str]:
        return ("--hooks-dir", str(self.host.folder / "hooks"))

    def _run_options(self) -> tuple[str, str]:
        return ("--run", str(self.host.run))

    def _do(self, *arguments: str, expected: int = Exit.OK) -> str:
        ended = self.stage.root.liftlock(*arguments)
        if ended.status != expected:
            raise DifferenceError(
                f"liftlock {' '.join(arguments[:2])}: expected status {expected}, found {ended.status}: {ended.text}"
            )
        return ended.text

    def _push(self, each: GatedRepository) -> Landing:
        self.stage.say(f"robin $ {each.kind} push   # {each.name}")
        found = each.push()
        self.stage.quote("\n".join(line for line in found.text.splitlines() if "liftlock" in line))
        return found

    # -----------------------------------------------------------------------------------------------------------------

    def _rejected(self, bug: int) -> None:
        for each in self.repositories:
            each.commit("No bug - Begin the ledger")
            expect(self._push(each).landed, f"{each.name}: an ordinary push was rejected")
            self.fixes[each.name] = each.commit(f"Bug {bug} - Keep the ledger alive. r=sam, a=dveditz")
            found = self._push(each)
            expect(not found.landed, f"{each.name}: the push landed: {found.text}")
            for said in (
                f"{self.fixes[each.name][:12]} names bug {bug}: it is security-sensitive; no live patch in it has sec-approval+",
                f"to do: request sec-approval on the patch at {self.host.address}/show_bug.cgi?id={bug}",
            ):
                expect(said in found.text, f"{each.name}: it does not say {said!r}: {found.text}")

    def _vetoed(self, bug: int, patch: int) -> None:
        answer = self._change(patch, "approval-mozilla-beta")
        self.stage.say(f"  the tracker on approval-mozilla-beta+: {answer.get('message')}")
        expect(
            "Ask for sec-approval on the patch first" in str(answer.get("message")), f"it answered {answer}"
        )
        expect(self.host.blocks(bug), "the bug is no longer blocked")

    def _change(self, patch: int, flag: str) -> dict[str, Any]:
        """Click: grant a flag over the tracker's own interface; return what it answers."""
        answer = httpx2.put(
            f"{self.host.address}/rest/bug/attachment/{patch}",
            json={"flags": [{"name": flag, "status": "+"}]},
            headers={"X-BUGZILLA-API-KEY": KEYS["SEC"]},
            trust_env=False,
        )
        found: dict[str, Any] = answer.json()
        return found

    def _granted(self, bug: int, patch: int) -> None:
        began = time.monotonic()
        self._change(patch, "sec-approval")
        until(lambda: not self.host.blocks(bug), "the approval to arrive", self.host.feedd.log)
        took = time.monotonic() - began
        self.stage.say(f"  sec-approval+ was in force {took:.2f} s after the click")
        expect(took <= LIMIT_S, f"it was in force after {took:.2f} s, expected at most {LIMIT_S:.0f} s")
        for each in self.repositories:
            expect(self._push(each).landed, f"{each.name}: the same push is still rejected")

    def _decided(self) -> None:
        for each in self.repositories:
            task_id = self._decision(each)
            log = self.stage.log(task_id)
            for said in (f"{each.kind} {self.fixes[each.name]}: ", "Keep the ledger alive. r=sam, a=dveditz"):
                expect(said in log, f"{each.name}: its decision task, which reads the checkout, says {log}")
            self.stage.say(f"  {each.name}: push and decision task {task_id}, completed on its checkout")

    def _decision(self, each: GatedRepository) -> str:
        """Return the completed decision task of the fix that landed."""
        api = self.stage.root.api
        began = time.monotonic()
        while time.monotonic() - began < 120:
            pushes = list(api.all_pages("pushes", "project", each.name, "pushes", key="pushes"))
            for push in pushes:
                if push["revision"] == self.fixes[each.name] and push["decision"]["state"] == "started":
                    state = api.get("queue", "task", push["taskId"], "status")["status"]["state"]
                    if state in RESOLVED:
                        expect_equal(f"{each.name}: the decision task", state, "completed")
                        return str(push["taskId"])
            time.sleep(0.2)
        raise DifferenceError(f"{each.name}: no decision task of {self.fixes[each.name]}: {pushes}")

    # -----------------------------------------------------------------------------------------------------------------

    def _stale(self) -> None:
        """Without the feed the last list holds; its age shows; too old, it only warns."""
        [git, _] = self.repositories
        bug = self.host.model.file(summary="Overflow", keywords=("sec-critical",))
        until(lambda: self.host.blocks(bug), "the list", self.host.feedd.log)
        self.host.feedd.stop()
        git.commit("Bug 999 - Tidy up")
        expect(self._push(git).landed, "an ordinary push waits for the feed")
        git.commit(f"Bug {bug} - Count on")
        expect(not self._push(git).landed, "the last list no longer holds")
        until(lambda: self.host.source()["ageS"] > 2, "the list to grow old", self.host.gated.log)
        status = self._do("gate", "status", *self._run_options())
        self.stage.quote(status)
        expect("feedd is not connected" in status, f"status does not say that the feed is gone: {status}")
        self.host.set_policy(max_stale_s=1)
        self.host.gated.reload()
        self.stage.say("  the policy now says max-stale-s = 1")
        found = self._push(git)
        expect(found.landed and "only a warning" in found.text, f"by an old list: {found.text}")
        self.host.set_policy(max_stale_s=900)
        self.host.gated.reload()

    def _slipped(self) -> None:
        [git, _] = self.repositories
        audit = ("gate", "replay", git.name, str(git.server), "--audit", "--wait", "60", *self._run_options())
        self.host.feedd.start()
        self._do(*audit)
        bug = self.host.model.file(summary="Overflow", keywords=("sec-critical",))
        until(lambda: self.host.blocks(bug), "the list", self.host.feedd.log)
        self.host.gated.stop()
        slipped = git.commit(f"Bug {bug} - Past the gate")
        found = self._push(git)
        expect(found.landed and "audited later" in found.text, f"with gated down: {found.text}")
        self.host.gated.start()
        told = self._do(*audit, expected=Exit.FAILED)
        self.stage.quote(told)
        expect(f"{slipped[:12]} bug {bug}: security-approval" in told, f"the audit says {told}")
