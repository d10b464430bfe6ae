"""The examples' operations from the request to the end, with every real part: sandbox, keys, signatures, privileged worker, git, indexes."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import slugid

from canaries import in_files, in_processes, seen
from echoing_index import echoing_index
from liftlock.domain.inputs.replay import pinned
from operations_world import TOKEN, Repository, World, open_to_all, operations_world
from timed_index import TimedIndex, timed_index

pytestmark = pytest.mark.process
EXAMPLES = ("gadget", "format", "update-dependencies")
POLICY = """
private-addresses = ["{place}"]
[indexes.main]
kind = "pypi"
url = "{simple}"
snapshots = true
"""


ECHOED, KEPT = "canary-echoed-token-77aa", "canary-of-the-secrets-service-01"
VERSION = {
    "type": "object",
    "properties": {"version": {"type": "string"}},
    "required": ["version"],
    "additionalProperties": False,
}
LOOKING = """
import gzip, io, pathlib, tarfile
found = []
pathlib.Path("artifacts").mkdir()
for pattern in ("environ", "cmdline", "maps", "status"):
    for path in pathlib.Path("/proc").glob("[0-9]*/" + pattern):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError as error:
            found.append(f"{path}: {error}")
print("\\n".join(found))
made = io.BytesIO()
with tarfile.open(fileobj=made, mode="w") as archive:
    member, content = tarfile.TarInfo("gadget-7.0/PKG-INFO"), b"Metadata-Version: 2.1\\nName: gadget\\nVersion: 7.0\\n"
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
pathlib.Path("artifacts/gadget-7.0.tar.gz").write_bytes(gzip.compress(made.getvalue()))
"""
BY_DESIGN = frozenset({"liftlock.env"})
"""The root client's token stands in this file, which is root's alone."""


@dataclass(slots=True)
class Place:
    """The examples in one liftlock. `key`: a folder with a minisign key; `newest`: an index that snapshots are made of."""

    world: World
    newest: TimedIndex
    key: Path
    policy: Path
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with (
        tempfile.TemporaryDirectory(prefix="liftlock-examples-") as name,
        timed_index() as newest,
        echoing_index() as echo,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        newest.upload("sextant", "1.0", "2020-01-01T00:00:00Z")
        policy = folder / "policy.toml"
        policy.write_text(POLICY.format(place=newest.place, simple=newest.simple))
        secret, public = folder / "key.sec", folder / "key.pub"
        subprocess.run(["minisign", "-G", "-W", "-s", secret, "-p", public], check=True, capture_output=True)

        def configure(operations: dict[str, Any], repositories: dict[str, Repository]) -> None:
            operations |= further(public.read_text(), echo)
            for each in operations.values():
                if "address" in each["stage2"]["settings"]:
                    each["stage2"]["settings"]["address"] = str(repositories[each["project"]].bare)
            for repository in repositories.values():
                open_to_all(repository)

        with operations_world(EXAMPLES, configure, arguments=("--pool-policy", str(policy))) as world:
            world.seal("publish-gadget", "index-token", TOKEN)
            world.seal("sign", "signing", secret.read_text())
            world.seal("echoed", "echoed-token", ECHOED)
            secrets = {
                "the index's token": TOKEN,
                "the other index's token": ECHOED,
                "the signing key": secret.read_text().splitlines()[-1],
                "the root client's token": world.up.environment()["TASKCLUSTER_ACCESS_TOKEN"],
                "what the secrets service keeps": KEPT,
            }
            kept = {"secret": {"value": KEPT}, "expires": "2100-01-01T00:00:00.000Z"}
            world.root.put("secrets", "secret", "canary", payload=kept)
            yield Place(world, newest, folder, policy, secrets)


def further(public: str, echo: str) -> dict[str, Any]:
    """Return operations that sign a file, move a branch, and publish to an index that repeats what it was told."""
    kinds: dict[str, dict[str, Any]] = {
        "sign": {
            "kind": "sign-artifacts",
            "settings": {"publicKey": public},
            "secrets": {"key": "signing"},
        },
        "move": {"kind": "move-ref", "settings": {"address": "", "branch": "stable"}},
    }
    return {
        name: {
            "description": name,
            "project": "format",
            "stage1": {
                "command": [["sh", "-c", "mkdir artifacts; echo made >artifacts/made.txt"]],
                "maxRunTime": 60,
            },
            "contract": {"files": [{"names": "made.txt", "least": 1, "type": "text"}]},
            "stage2": stage2,
            "approvals": {"need": 0},
        }
        for name, stage2 in kinds.items()
    } | {
        "echoed": {
            "description": "Try to publish, and look for secrets meanwhile",
            "project": "gadget",
            "input": VERSION,
            "stage1": {"command": [["python3", "-c", LOOKING]], "maxRunTime": 60},
            "contract": {"files": [{"names": "*.tar.gz", "least": 1, "type": "gzip"}]},
            "stage2": {
                "kind": "publish-distribution",
                "settings": {
                    "name": "gadget",
                    "upload": f"{echo}/",
                    "simple": f"{echo}/simple/",
                    "user": "publisher",
                },
                "secrets": {"token": "echoed-token"},
            },
            "approvals": {"need": 0},
        }
    }


def test_a_package_is_built_approved_published_and_installs(place: Place, tmp_path: Path) -> None:
    world = place.world
    robin = world.person("robin", "liftlock:request:*", "liftlock:approve:*")
    morgan = world.person("morgan", "liftlock:approve:*")
    asked = world.ask(robin, "publish-gadget", {"version": "1.0.0"})
    waiting = world.wait(asked, "waiting")
    assert [each["path"] for each in waiting["frozen"]["stage1"]["files"]] == [
        "dist/gadget-1.0.0-py3-none-any.whl",
        "dist/gadget-1.0.0.tar.gz",
    ]
    compared = morgan.get("operations", "operation", asked, "differences")
    assert (compared["digest"], compared["lastOperationId"]) == (waiting["digest"], None)
    told = {each["path"]: each for each in compared["differences"]}
    for path, added in (
        ("dist/gadget-1.0.0-py3-none-any.whl", "*.dist-info/METADATA"),
        ("dist/gadget-1.0.0.tar.gz", "PKG-INFO"),
    ):
        assert told[path]["problem"] == ""
        assert told[path]["same"] >= 1, "what the source has is the same"
        statuses = {each["path"]: each["status"] for each in told[path]["entries"]}
        assert statuses[added] == "added"
        assert "changed" not in statuses.values()
    world.approve(morgan, "morgan", waiting)
    done = world.wait(asked, "done")
    assert world.result(done)["verdict"] == "performed"
    subprocess.run(["/usr/bin/python3", "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--index-url", f"{world.index}/simple/", "gadget==1.0.0"], check=True)
    says = [tmp_path / "venv/bin/python", "-c", "import gadget; print(gadget.bells(12, 30))"]
    assert subprocess.run(says, check=True, capture_output=True, text=True).stdout == "1\n"


def test_a_branch_is_formatted_by_compare_and_swap_and_main_never(place: Place) -> None:
    world, repository = place.world, place.world.repositories["format"]
    repository.git("checkout", "--quiet", "-b", "feature")
    head = repository.commit("A feature", {"src/knots/more.py": "x = [ 1,2 ]\n"})
    open_to_all(repository)
    robin = world.person("robin", "liftlock:request:*", "liftlock:approve:*")
    asked = [world.ask(robin, "format", {}, branch) for branch in ("feature", "main")]
    facts = world.result(world.wait(asked[0], "done"))["facts"]
    assert facts["changed"] == ["src/knots/more.py"]
    repository.git("fetch", "--quiet")
    log = repository.git("log", "--format=%H %P", "-1", "origin/feature")
    assert log == f"{facts['commit']} {head}"
    assert repository.git("show", "origin/feature:src/knots/more.py") == "x = [1, 2]"
    shown = subprocess.run(
        ["git", "-C", repository.bare, "fsck", "--strict"], capture_output=True, check=True
    )
    assert b"error" not in shown.stderr
    assert world.result(world.wait(asked[1], "failed"))["rule"] == "protected"


def test_dependencies_are_updated_by_the_index_as_it_was_when_it_was_asked_for(place: Place) -> None:
    world, repository = place.world, place.world.repositories["update-dependencies"]
    known = place.newest.upload("sextant", "1.1", "2021-01-01T00:00:00Z", requires=("almanac",))
    needed = place.newest.upload("almanac", "3.0", "2021-01-01T00:00:00Z")
    place.newest.upload("sextant", "2.0", "2099-01-01T00:00:00Z")
    robin = world.person("robin", "liftlock:request:*", "liftlock:approve:*")
    morgan = world.person("morgan", "liftlock:approve:*")
    waiting = world.wait(world.ask(robin, "update-dependencies", {}), "waiting")
    compared = morgan.get("operations", "operation", waiting["operationId"], "differences")
    [one] = compared["differences"]
    assert (one["path"], one["against"]) == ("tree/requirements.txt", "source")
    [entry] = one["entries"]
    assert "-sextant==1.0" in entry["text"]
    assert "+sextant==1.1" in entry["text"]
    world.approve(morgan, "morgan", waiting)
    done = world.wait(waiting["operationId"], "done")
    facts = world.result(done)["facts"]
    assert facts["branch"].startswith("liftlock/update-dependencies-")
    repository.git("fetch", "--quiet")
    pinned = repository.git("show", f"{facts['commit']}:requirements.txt")
    assert f"sextant==1.1 \\\n    --hash=sha256:{known}" in pinned
    assert f"almanac==3.0 \\\n    --hash=sha256:{needed}" in pinned
    assert repository.git("log", "--format=%P", "-1", facts["commit"]) == waiting["revision"]
    assert repository.git("diff", "--name-only", waiting["revision"], facts["commit"]) == "requirements.txt"
    _expect_a_replay(place, waiting["stage1TaskId"])


def _expect_a_replay(place: Place, task_id: str) -> None:
    """Run stage 1 once more with the recorded answers: the index has changed, is not asked, and the same comes of it."""
    place.newest.upload("sextant", "1.2", "2021-06-01T00:00:00Z")
    asked, root = len(place.newest.asked), place.world.root
    task = root.get("queue", "task", task_id)
    manifest = json.loads(root.artifact(task_id, "public/inputs.json"))
    now, again = datetime.now(UTC), slugid.nice()
    definition = {key: task[key] for key in ("taskQueueId", "schedulerId", "scopes", "metadata")} | {
        "created": now.isoformat(),
        "deadline": (now + timedelta(hours=1)).isoformat(),
        "payload": pinned(task["payload"], manifest),
    }
    root.put("queue", "task", again, payload=definition)
    deadline = time.monotonic() + 120
    while (state := root.get("queue", "task", again, "status")["status"]["state"]) in ("pending", "running"):
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    assert state == "completed", place.world.log(again)
    made = [root.artifact(each, "artifacts/tree/requirements.txt") for each in (task_id, again)]
    assert made[0] == made[1]
    assert len(place.newest.asked) == asked, "a replay asks nobody"
    replayed = json.loads(root.artifact(again, "public/inputs.json"))["network"]
    assert replayed["sealing"] == "sealed"


def test_files_are_signed_and_a_branch_is_moved_by_the_real_worker(place: Place, tmp_path: Path) -> None:
    world = place.world
    robin = world.person("robin", "liftlock:request:*", "liftlock:approve:*")
    ids = [world.ask(robin, name, {}) for name in ("sign", "move")]
    signed, moved = (world.wait(each, "done") for each in ids)
    (tmp_path / "made.txt").write_bytes(b"made\n")
    signature = world.root.artifact(signed["stage2TaskId"], "public/signatures/made.txt.minisig")
    (tmp_path / "made.txt.minisig").write_bytes(signature)
    verify = ["minisign", "-V", "-p", place.key / "key.pub", "-m", tmp_path / "made.txt"]
    told = subprocess.run(verify, check=True, capture_output=True, text=True).stdout
    assert f"request:sha256:{signed['digest']}" in told
    chain = json.loads(world.root.artifact(signed["stage2TaskId"], "public/chain-of-trust.json"))
    assert "public/signatures/made.txt.minisig" in chain["artifacts"]
    assert world.result(moved)["facts"]["after"] == moved["revision"]
    stable = world.repositories["format"].git("ls-remote", "origin", "refs/heads/stable")
    assert stable.split("\t")[0] == moved["revision"]


def test_no_secret_stands_in_a_log_an_artifact_a_process_or_the_database(place: Place) -> None:
    """All that was done above is looked through as well: every file that liftlock keeps, packed or not."""
    world = place.world
    robin = world.person("robin", "liftlock:request:*", "liftlock:approve:*")
    asked, told = world.ask(robin, "echoed", {"version": "7.0"}), []
    while True:
        told += in_processes(world.up.processes(), place.secrets)
        found = world.root.get("operations", "operation", asked)
        if found["state"] not in ("building", "waiting", "scheduled"):
            break
    assert told == []
    said = world.log(found["stage2TaskId"])
    assert "HTTP 403: you said Basic " in said, "the token was used, and the index repeated it"
    assert "[hidden]" in said
    rows = list(world.root.all_pages("audit", "rows", key="rows"))
    assert any(row["action"] == "operations.failed" for row in rows)
    texts = {
        "the log of every process": world.up.log,
        "the audit log": json.dumps(rows),
        "the run's log": said,
    }
    for what, text in texts.items():
        assert seen(place.secrets, text.encode()) == [], what
    assert "NoNewPrivs" in world.log(found["stage1TaskId"]), "stage 1 looked"
    database = (world.up.state_dir / "liftlock.db").exists() or list(world.up.state_dir.rglob("liftlock.db"))
    assert database, "there is a database to look through"
    assert in_files([world.up.state_dir], place.secrets, except_for=BY_DESIGN) == []
