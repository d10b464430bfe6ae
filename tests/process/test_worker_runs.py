"""Runs from claim to resolution, in real sandboxes, against a control plane in memory."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fakes.certified_signer import CertifiedSigner, produced
from fakes.fake_queue_client import lease
from liftlock.errors import ConflictError, SandboxFailedError
from liftlock.ports.queue_client import QueueUnavailableError
from sandboxes import KINDS, living
from worker_world import World, world

pytestmark = pytest.mark.process


def artifact(name: str, path: str, kind: str = "file") -> dict[str, str]:
    return {"name": f"public/{name}", "path": path, "type": kind}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_runs_and_leaves_its_artifacts_its_log_and_its_manifest(
    tmp_path: Path, kind: str
) -> None:
    async with world(tmp_path, kind=kind) as worker:
        run, outcome = await worker.shell(
            "echo hello; mkdir -p out/sub; echo one >out/a.txt; printf '\\000\\001' >out/sub/b.bin",
            artifacts=[artifact("out", "out", "directory"), artifact("a", "/build/out/a.txt")],
        )
        assert outcome == "completed"
        assert worker.log(run) == "hello\n"
        assert {
            name: data
            for (_, name), data in worker.queue.artifacts.items()
            if "out" in name or name == "public/a"
        } == {
            "public/out/a.txt": b"one\n",
            "public/out/sub/b.bin": b"\0\1",
            "public/a": b"one\n",
        }
        assert worker.queue.links == {(run, "public/logs/live.log"): "public/logs/live_backing.log"}
        manifest = json.loads(worker.queue.artifacts[run, "public/inputs.json"])
        assert manifest["isolation"]["users"] == ("separate" if kind == "root" else "single-user")
        assert manifest["network"]["default"] == "none"


async def test_commands_run_in_order_until_one_fails(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        commands = [["sh", "-c", "echo 1 >a"], ["sh", "-c", "cat a; exit 3"], ["echo", "never"]]
        run, outcome = await worker.run({"command": commands})
        assert outcome == "failed"
        assert worker.log(run) == "1\n"
        assert "command 3" not in worker.queue.log_of(run)
        assert "the command ended with 3" in worker.queue.log_of(run)


async def test_the_environment_is_exact(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        program = "import os, json; print(json.dumps(dict(os.environ)))"
        run, _ = await worker.run({"command": ["python3", "-I", "-c", program], "env": {"A": "b"}})
        said = json.loads(worker.log(run))
        # The kernel and the interpreter add nothing; bubblewrap sets PWD for the directory it changes to.
        assert said.pop("PWD", "/build") == "/build"
        said.pop("LC_CTYPE", None)
        proxies = {said.pop(name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
        assert proxies == {"http://127.0.0.1:3128"}
        assert {said.pop("NO_PROXY"), said.pop("no_proxy")} == {"127.0.0.1,localhost,::1"}
        assert said == {
            "A": "b",
            "HOME": "/build",
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "RUN_ID": "0",
            "TASKCLUSTER_ROOT_URL": worker.queue.root_url,
            "TASK_GROUP_ID": run.task_id,
            "TASK_ID": run.task_id,
        }


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"command": ["true"], "comand": 1}, "payload.comand: unknown key"),
        ({"command": ["true"], "inputs": [{"name": "x"}]}, "payload.inputs[0]: expected exactly one of git, hg, pip, task, raw"),
        ("text", "payload: expected an object, found 'text'"),
        (None, "payload: expected an object, found None"),
    ],
)  # fmt: skip
async def test_a_malformed_payload_is_told_with_its_path(tmp_path: Path, payload: Any, said: str) -> None:
    async with world(tmp_path) as worker:
        run, outcome = await worker.run(payload)
        assert outcome == "malformed-payload"
        assert said in worker.queue.log_of(run)


async def test_time_that_is_up_ends_the_whole_tree(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        script = "setsid sleep 7345 & (sleep 7345 &) ; echo started; sleep 7345"
        run, outcome = await worker.shell(script, maxRunTime=2)
        assert outcome == "failed"
        assert "maxRunTime of 2 s is over" in worker.queue.log_of(run)
        assert living("sleep\0" + "7345") == []


async def test_exit_codes_that_the_task_names_are_retried(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        _, outcome = await worker.shell("exit 4", onExitStatus={"retry": [4]})
        assert outcome == "intermittent-task"


async def test_a_missing_artifact_fails_the_task_and_says_why(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        run, outcome = await worker.shell(
            "true", artifacts=[artifact("x", "x"), artifact("d", "d", "directory")]
        )
        assert outcome == "failed"
        assert worker.queue.errors == {
            (run, "public/x"): ("file-missing-on-worker", "'x': there is no such file"),
            (run, "public/d"): ("file-missing-on-worker", "'d': there is no such file"),
        }


async def test_raw_inputs_and_artifacts_of_other_tasks_reach_the_task(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("top/file")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"tar"))
    task = "Qt3GMzT0Qq2rIcp0oYl9sA"
    inputs = [
        {"name": "text", "raw": {"content": "räw"}, "mount": "/inputs/text"},
        {"name": "own", "raw": {"content": "own"}, "unpack": {"to": "/build/own"}},
        {"name": "file", "task": {"id": task, "artifact": "public/f"}, "mount": "/inputs/d/f"},
        {
            "name": "tree",
            "task": {"id": task, "artifact": "public/t.tgz"},
            "unpack": {"to": "/build/t", "strip": 1},
        },
    ]
    async with world(tmp_path) as worker:
        made = {"public/f": b"file", "public/t.tgz": packed.getvalue()}
        worker.queue.others = produced(CertifiedSigner(), task, made)
        script = "cat /inputs/text own /inputs/d/f t/file; echo; echo x >>own; ! (echo x >>/inputs/text) 2>/dev/null"
        run, outcome = await worker.run(
            {"command": ["sh", "-ec", script], "inputs": inputs}, scopes=["a", "b"]
        )
        assert (outcome, worker.log(run)) == ("completed", "räwownfiletar\n")
        assert set(worker.queue.limits) == {("a", "b")}, "fetched with more than the task's own scopes"
        said = json.loads(worker.queue.artifacts[run, "public/inputs.json"])["inputs"]
        assert [one["files"][0]["sha256"] for one in said] == [
            hashlib.sha256(data).hexdigest() for data in ("räw".encode(), b"own", b"file", packed.getvalue())
        ]


async def test_an_artifact_of_other_bytes_than_declared_ends_the_task_before_it_starts(
    tmp_path: Path,
) -> None:
    task, declared = "Qt3GMzT0Qq2rIcp0oYl9sA", "0" * 64
    one = {
        "name": "x",
        "task": {"id": task, "artifact": "public/f", "sha256": declared},
        "mount": "/inputs/x",
    }
    async with world(tmp_path) as worker:
        worker.queue.others = produced(CertifiedSigner(), task, {"public/f": b"bytes"})
        run, outcome = await worker.shell("echo ran", inputs=[one])
        observed = hashlib.sha256(b"bytes").hexdigest()
        assert outcome == "malformed-payload"
        assert f"declared sha256 {declared}, its producer's chain says {observed}" in worker.queue.log_of(run)
        assert "ran" not in worker.log(run)
        assert declared in json.loads(worker.queue.artifacts[run, "public/inputs.json"])["failed"]["error"]


async def test_an_artifact_whose_producer_left_no_chain_is_refused(tmp_path: Path) -> None:
    one = {
        "name": "x",
        "task": {"id": "Qt3GMzT0Qq2rIcp0oYl9sA", "artifact": "public/f"},
        "mount": "/inputs/x",
    }
    async with world(tmp_path) as worker:
        run, outcome = await worker.shell("true", inputs=[one])
        assert outcome == "malformed-payload"
        assert "has no public/chain-of-trust.json: its last run did not finish" in worker.queue.log_of(run)


def wheel(directory: Path, name: str, text: str) -> tuple[str, str]:
    """Write a wheel with one module; return its file name and digest."""
    path = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"text = {text!r}\n")
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def locked(lock: str) -> list[dict[str, Any]]:
    return [
        {"name": "lock", "raw": {"content": lock}, "mount": "/inputs/lock"},
        {"name": "py", "pip": {"lock": {"input": "lock"}}, "mount": "/inputs/py"},
    ]


async def test_locked_wheels_are_an_importable_tree_and_cost_nothing_the_second_time(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    wheels = [wheel(house, "one", "1"), wheel(house, "two", "2")]
    lock = "".join(f"{file.split('-')[0]}==1.0 --hash=sha256:{digest}\n" for file, digest in wheels)
    payload = {
        "command": ["python3", "-c", "import one, two; print(one.text, two.text, one.__file__)"],
        "env": {"PYTHONPATH": "/inputs/py"},
        "inputs": locked(lock),
    }
    async with world(tmp_path, wheelhouse=house) as worker:
        said = []
        for _ in range(2):
            run, outcome = await worker.run(payload)
            assert (outcome, worker.log(run)) == ("completed", "1 2 /inputs/py/one.py\n")
            said.append(json.loads(worker.queue.artifacts[run, "public/inputs.json"])["inputs"][1])
        assert [one["cached"] for one in said] == [False, True]
        assert [file["sha256"] for file in said[0]["files"]] == [digest for _, digest in wheels]
        assert said[0]["tree"] == said[1]["tree"]


async def test_a_wheel_of_another_digest_ends_the_task_before_it_starts(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    file, digest = wheel(house, "one", "1")
    with (house / file).open("r+b") as changed:
        changed.seek(40)
        byte = changed.read(1)
        changed.seek(40)
        changed.write(bytes([byte[0] ^ 1]))
    observed = hashlib.sha256((house / file).read_bytes()).hexdigest()
    async with world(tmp_path, wheelhouse=house) as worker:
        run, outcome = await worker.shell("echo ran", inputs=locked(f"one==1.0 --hash=sha256:{digest}\n"))
        assert outcome == "resource-unavailable"
        assert (
            f"declared sha256 {digest}; observed in the wheelhouse: {file} measures {observed}"
            in worker.queue.log_of(run)
        )
        assert "ran" not in worker.log(run)


async def test_a_lock_without_hashes_is_a_malformed_payload(tmp_path: Path) -> None:
    async with world(tmp_path, wheelhouse=tmp_path) as worker:
        run, outcome = await worker.shell("true", inputs=locked("one==1.0\n"))
        assert outcome == "malformed-payload"
        assert (
            "lock:lock:1: expected `name==version --hash=sha256:…`, found 'one==1.0'"
            in worker.queue.log_of(run)
        )


def bundle(tmp_path: Path, files: dict[str, str], links: dict[str, str] | None = None) -> tuple[str, bytes]:
    """Make a git bundle of one commit; return its revision and bytes."""
    repo = tmp_path / "repo"
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "n",
        "GIT_AUTHOR_EMAIL": "e@example.com", "GIT_COMMITTER_NAME": "n", "GIT_COMMITTER_EMAIL": "e@example.com",
    }  # fmt: skip

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(repo), *arguments], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    repo.mkdir()
    git("init", "-q", "-b", "main")
    for name, text in files.items():
        (repo / name).write_text(text)
    for name, target in (links or {}).items():
        (repo / name).symlink_to(target)
    git("add", "-A")
    git("commit", "-qm", "one")
    git("bundle", "create", "-q", str(tmp_path / "bundle"), "HEAD", "main")
    return git("rev-parse", "HEAD"), (tmp_path / "bundle").read_bytes()


async def test_a_checkout_belongs_to_the_task_and_may_hold_the_lock(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    _, digest = wheel(house, "one", "1")
    revision, content = bundle(tmp_path, {"lock.txt": f"one==1.0 --hash=sha256:{digest}\n"})
    inputs = [
        {"name": "py", "pip": {"lock": {"input": "repo", "path": "lock.txt"}}, "mount": "/inputs/py"},
        {"name": "repo", "git": {"project": "widget", "revision": revision}, "unpack": {"to": "/build/repo"}},
    ]
    async with world(tmp_path, wheelhouse=house) as worker:
        worker.queue.sources = {("widget", revision): content}
        script = "cd repo; git rev-parse HEAD; git status --short; touch new; PYTHONPATH=/inputs/py python3 -c 'import one'"
        run, outcome = await worker.shell(script, inputs=inputs)
        assert (outcome, worker.log(run)) == ("completed", f"{revision}\n"), worker.queue.log_of(run)
        said = json.loads(worker.queue.artifacts[run, "public/inputs.json"])["inputs"]
        assert [one["name"] for one in said] == ["repo", "py"]
        assert said[0]["commit"] == revision


async def test_a_checkout_of_a_mercurial_repository_belongs_to_the_task_and_may_hold_the_lock(
    tmp_path: Path,
) -> None:
    house, repo = tmp_path / "house", tmp_path / "repo"
    house.mkdir()
    repo.mkdir()
    _, digest = wheel(house, "one", "1")
    (repo / "lock.txt").write_text(f"one==1.0 --hash=sha256:{digest}\n")

    def hg(*arguments: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HGRCPATH": "", "HGPLAIN": "1"}
        done = subprocess.run(
            ["hg", *arguments], cwd=repo, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    hg("init")
    hg("commit", "--quiet", "--addremove", "--user", "n", "--message", "one")
    hg("bundle", "--quiet", "--all", "--type", "none-v2", "../bundle")
    revision = hg("log", "-r", ".", "-T", "{node}")
    inputs = [
        {"name": "repo", "hg": {"project": "widget", "revision": revision}, "unpack": {"to": "/build/repo"}},
        {"name": "py", "pip": {"lock": {"input": "repo", "path": "lock.txt"}}, "mount": "/inputs/py"},
    ]
    async with world(tmp_path, wheelhouse=house) as worker:
        worker.queue.sources = {("widget", revision): (tmp_path / "bundle").read_bytes()}
        script = "cd repo; hg log -r . -T '{node}\n'; hg status; touch new; PYTHONPATH=/inputs/py python3 -c 'import one'"
        run, outcome = await worker.shell(script, inputs=inputs)
        assert (outcome, worker.log(run)) == ("completed", f"{revision}\n"), worker.queue.log_of(run)
        [said, _] = json.loads(worker.queue.artifacts[run, "public/inputs.json"])["inputs"]
        assert (said["kind"], said["commit"], said["project"]) == ("hg", revision, "widget")
        assert said["declared"] == {"revision": revision, "project": "widget"}
        inputs = [{"name": "repo", "git": inputs[0]["hg"], "unpack": {"to": "/build/repo"}}]
        run, outcome = await worker.shell("true", inputs=inputs)
        assert outcome == "resource-unavailable"
        assert "it is a Mercurial repository: expected an input `hg`" in worker.queue.log_of(run)


async def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    revision, content = bundle(tmp_path, {"a": "x"}, {"lock.txt": "/etc/passwd"})
    inputs = [
        {"name": "repo", "git": {"project": "widget", "revision": revision}, "unpack": {"to": "/build/repo"}},
        {"name": "py", "pip": {"lock": {"input": "repo", "path": "lock.txt"}}, "mount": "/inputs/py"},
    ]
    async with world(tmp_path, wheelhouse=tmp_path) as worker:
        worker.queue.sources = {("widget", revision): content}
        run, outcome = await worker.shell("true", inputs=inputs)
        assert outcome == "malformed-payload"
        assert "'repo/lock.txt': it is a symbolic link" in worker.queue.log_of(run)


async def running(worker: World, marker: str, payload: dict[str, Any] | None = None) -> Any:
    """Start a task that sleeps and return it once it says so in the live log."""
    run = worker.add({"command": ["sh", "-c", f"echo {marker}; exec sleep 7{marker}"], **(payload or {})})
    async with asyncio.timeout(30):
        while f"\n{marker}\n".encode() not in worker.queue.live:  # noqa: ASYNC110 -- it grows without an event
            await asyncio.sleep(0.02)
    return run


async def test_output_is_seen_live(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        await running(worker, "411")
        assert worker.queue.reports == []


async def test_a_claim_that_is_refused_again_ends_the_task_without_a_word(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        worker.queue.next_lease = lambda: lease(6)
        worker.queue.failures["reclaim"] = [ConflictError("canceled")]
        run = await running(worker, "412")
        async with asyncio.timeout(20):
            while living("sleep\0" + "7412"):  # noqa: ASYNC110 -- a process ends without an event
                await asyncio.sleep(0.02)
        await worker.end()
        assert worker.queue.reports == []
        assert (run, "public/logs/live_backing.log") not in worker.queue.artifacts
        assert worker.parts.journal.entries() == ()


async def test_a_task_is_dead_before_its_lease_ends_if_nobody_renews_it(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        given = lease(6)
        worker.queue.next_lease = lambda: given
        worker.queue.failures["reclaim"] = [QueueUnavailableError("gone")] * 100
        await running(worker, "413")
        async with asyncio.timeout(20):
            while living("sleep\0" + "7413"):  # noqa: ASYNC110 -- a process ends without an event
                await asyncio.sleep(0.02)
        assert worker.parts.clock.now() < given.taken_until
        assert len(worker.queue.reclaims) > 1
        await worker.end()
        assert worker.queue.reports == []


async def test_a_lease_is_renewed_before_it_ends(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        worker.queue.next_lease = lambda: lease(3)
        run = worker.add({"command": ["sleep", "5"]})
        assert await worker.resolved(run) == "completed"
        assert len(worker.queue.reclaims) >= 2


async def test_a_worker_that_ends_gives_its_run_back(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        run = await running(worker, "414")
        assert await worker.end()
        assert worker.queue.reports == [(run, "worker-shutdown")]
        assert living("sleep\0" + "7414") == []
        assert worker.parts.journal.entries() == ()
        assert "given back" in worker.queue.log_of(run)


async def test_a_run_that_ends_within_the_grace_is_reported_as_it_ended(tmp_path: Path) -> None:
    async with world(tmp_path, grace_s=30) as worker:
        run = worker.add({"command": ["sh", "-c", "echo started; sleep 2"]})
        async with asyncio.timeout(30):
            while b"started" not in worker.queue.live:  # noqa: ASYNC110 -- it grows without an event
                await asyncio.sleep(0.02)
        await worker.end()
        assert worker.queue.reports == [(run, "completed")]


async def test_claims_of_a_predecessor_are_given_back_before_anything_else(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        run = await running(worker, "415")
        [entry] = worker.parts.journal.entries()
        assert entry.run == run
        mode = next((worker.state / "claims").glob("*.claim")).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        await worker.end()
        worker.parts.journal.record(run, lease())
        again = type(worker.queue)()
    async with world(tmp_path, queue=again) as worker:
        assert await worker.resolved(run) == "worker-shutdown"
        assert worker.parts.journal.entries() == ()


async def test_a_run_whose_sandbox_failed_is_given_back_and_the_worker_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_spec: object) -> None:
        raise SandboxFailedError("somebody killed it")

    async with world(tmp_path) as worker:
        with monkeypatch.context() as broken:
            broken.setattr(worker.parts.sandbox, "start", fail)
            run = worker.add({"command": ["true"]})
            assert await worker.resolved(run) == "worker-shutdown"
        _, outcome = await worker.shell("true")
        assert outcome == "completed"


async def test_an_outage_while_a_run_ends_is_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        worker.queue.failures["report"] = [QueueUnavailableError("gone")] * 2
        worker.queue.failures["upload"] = [QueueUnavailableError("gone")]
        _, outcome = await worker.shell("true")
        assert outcome == "completed"


async def test_after_a_poll_without_an_answer_the_worker_says_what_it_holds(tmp_path: Path) -> None:
    async with world(tmp_path, slots=2) as worker:
        run = await running(worker, "416")
        assert worker.queue.kept == [set()]
        worker.queue.failures["claim_work"] = [QueueUnavailableError("reset")]
        other, outcome = await worker.shell("true")
        assert outcome == "completed"
        third, _ = await worker.shell("true")
        assert worker.queue.kept[1:] == [{run}]
        assert other != third


async def test_slots_work_side_by_side(tmp_path: Path) -> None:
    async with world(tmp_path, slots=2) as worker:
        await running(worker, "417")
        _, outcome = await worker.shell("true")
        assert outcome == "completed"
