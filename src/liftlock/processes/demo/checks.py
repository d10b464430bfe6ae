"""What the demo claims: each line is observed on the running system, or reported as FAIL."""

from __future__ import annotations

from liftlock.processes.demo.report import Check

CHECKS: dict[str, Check] = {
    "isolation": Check("B6", "this machine allows the isolation that tasks need"),
    "up": Check("E1", "one command starts the control plane and its workers"),
    "push": Check("A1", "a git push is recorded as liftlock observed it, and starts a decision task"),
    "scopes": Check("A1", "the decision task has the scopes of its branch's role and no others"),
    "graph": Check("A2", "the decision task creates the rest of the group, and all of it completes"),
    "artifacts": Check("A2", "the build's artifacts and the logs can be read, and are what the tasks made"),
    "offer": Check("A3", "the command line offers a task the actions that apply to it"),
    "sandbox": Check(
        "B6", "a task reaches no network, and sees no credentials, home folders or liftlock's files"
    ),
    "malformed": Check(
        "E6", "a payload that makes no sense ends the task, and its log says what was expected where"
    ),
    "flipped": Check("B2", "one byte of an input flipped in the store ends the task before it starts"),
    "sealed": Check("B5", "restored, it runs sealed, and its manifest says what it was given and by whom"),
    "attempts": Check("B6", "what a task tries on the closed network is refused and in its manifest"),
    "direct": Check(
        "A9", "a developer who creates the privileged task directly is refused, and told what is missing"
    ),
    "secret": Check("A9", "a developer can't read the release key"),
    "explain": Check("A14", "the developer can ask why"),
    "paths": Check(
        "A16", "no path leads from the developer to the release key; the release manager's is shown"
    ),
    "generic": Check("A8", "the same developer runs the generic action retrigger, and its task really runs"),
    "unconfirmed": Check("A7", "the command line shows what would run, and runs nothing unconfirmed"),
    "add": Check("A12", "add-tasks runs a task that the push left out"),
    "backfill": Check("A12", "backfill runs that task on the earlier push, at its revision"),
    "in-task": Check("A13", "the action's own task refuses what it was not made for"),
    "wrong-hook": Check("A13", "a restricted action does not run by the generic hook"),
    "forged": Check("A6", "a payload that names another revision than the recorded push is refused"),
    "in-tree": Check("A6", "a hook that the push's decision task may not offer does not fire"),
    "consent": Check(
        "A10", "a restricted action waits until somebody other than the pusher admits its content"
    ),
    "denied": Check("A5", "release-promotion is refused to the developer, also when it is admitted"),
    "schema": Check("A5", "trigger schema refuses by API, token and CLI alike"),
    "promote": Check("A5", "the release manager, who lacks the scopes as well, runs release-promotion"),
    "released": Check(
        "A5", "its task runs with the privilege: the release is signed, and no log shows the key"
    ),
    "fires": Check(
        "A15", "every fire is recorded: who, when, the payload's digest, the hook's version, the task"
    ),
    "attested": Check(
        "B5", "a finished run leaves a signed chain of trust that has its inputs, its artifacts and its log"
    ),
    "walk": Check("B9", "task verify walks green from artifact to push"),
    "offline": Check(
        "B9",
        "a bundle verifies without a server by keys one trusts, and an artifact with a flipped bit is red",
    ),
    "upstream": Check(
        "B4",
        "an input that its producer's chain does not vouch for, or of a lower level, ends the task first",
    ),
    "piping": Check(
        "B8", "a graph that reads an output which no task declares is refused before it is created"
    ),
    "cache": Check(
        "B7",
        "what was built from a level-1 cache is red in a level-3 chain, although every signature is valid",
    ),
    "hostile": Check(
        "C2", "a hostile setup.py reads no token, reaches no network and poisons no cache: three refusals"
    ),
    "not-oneself": Check("C7", "who asked for an operation can't approve it"),
    "approved": Check("C7", "another person approves the frozen digest, by a signature"),
    "voided": Check("C7", "a new commit voids what was approved"),
    "published": Check(
        "C1", "approved again, the package is published to a package index, and installs from it with pip"
    ),
    "dispatched": Check("C4", "an event that a configured program dispatches starts its hook, once"),
    "forged-dispatch": Check(
        "C4", "a forged dispatch (right JSON, wrong sender) leaves a trace and starts nothing"
    ),
    "replayed": Check("C4", "a replayed delivery, and one signed with another secret, are refused"),
    "forged-check": Check("C5", "a forged check is refused, whatever its name"),
    "pages": Check(
        "E2",
        "a one-time link signs the developer in, once; pages show the push, its tasks, a log and where it comes from",
    ),
    "audit": Check("E5", "the audit log verifies, with a witness's checkpoint and without the server"),
    "audit-edited": Check("E5", "an audit row is edited in the database, and audit verify names it"),
    "gate-reject": Check(
        "D1", "a push that names a sensitive bug is rejected on git and on hg, and told what to do"
    ),
    "gate-veto": Check("D5", "the tracker grants no uplift of that bug while security approval is missing"),
    "gate-grant": Check(
        "D2", "approval granted in the tracker is in force within two seconds, and the same pushes land"
    ),
    "gate-decision": Check(
        "D7",
        "the pushes that landed are in the push log, and their decision tasks complete on a checkout of git, of hg",
    ),
    "gate-stale": Check(
        "D4", "without its feed the gate decides by the last list, shows its age, and too old it warns"
    ),
    "gate-slipped": Check(
        "D4", "with the gate down a push lands with a note, and the audit reports what slipped through"
    ),
    "killed": Check("E1", "the control plane, killed, comes back by itself and finishes what was running"),
    "restarted": Check("E1", "stopped and started again, everything is still there"),
    "configuration": Check(
        "A16",
        "a configuration that opens a two-hop path from level 1 to a release secret is stopped, with the path",
    ),
    "trains": Check(
        "A10",
        "a push that changes .taskcluster.yml has its actions at once, and an older push's work on by theirs",
    ),
}
