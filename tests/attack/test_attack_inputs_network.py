"""Attacks on the closed network: undeclared places, smuggled requests, places that the pool does not permit, snapshots."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hostile_server import hostile_server
from liftlock.domain.inputs.policy import Index, NetworkRule, PoolPolicy
from liftlock.ports.queue_client import RunKey
from worker_world import World, world

pytestmark = pytest.mark.process

PROBE = """
import json, socket, urllib.request, urllib.error
said = {}
for url in json.loads(open("/inputs/urls.json").read()):
    try:
        said[url] = urllib.request.urlopen(url, timeout=10).read().decode()
    except urllib.error.HTTPError as error:
        said[url] = error.code
    except OSError as error:
        said[url] = str(error)
print(json.dumps(said))
"""


def manifest(worker: World, run: RunKey) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(worker.queue.artifacts[run, "public/inputs.json"])
    return found


def probing(*urls: str, **more: Any) -> dict[str, Any]:
    raw = {"name": "urls", "raw": {"content": json.dumps(urls)}, "mount": "/inputs/urls.json"}
    return {"command": ["python3", "-I", "-c", PROBE], **more, "inputs": [raw, *more.get("inputs", [])]}


async def test_undeclared_attempts_are_refused_and_recorded(tmp_path: Path) -> None:
    urls = ("http://example.com/a", "https://example.com/b", "http://169.254.169.254/latest?token=x")
    async with world(tmp_path) as worker:
        run, outcome = await worker.run(probing(*urls))
        assert outcome == "completed", worker.log(run)
        network = manifest(worker, run)["network"]
        assert (network["default"], network["sealing"]) == ("none", "sealed")
        assert [(one["method"], one["path"]) for one in network["refused"]] == [
            ("GET", "http://example.com/a"),
            ("CONNECT", "example.com:443"),
            ("GET", "http://169.254.169.254/latest"),
        ]
        assert all("not declared in payload.network.allow" in one["why"] for one in network["refused"])


async def test_a_place_that_the_pool_does_not_permit_ends_the_task_before_it_starts(tmp_path: Path) -> None:
    asked = {"allow": [{"host": "evil.example", "port": 443, "reason": "to get out"}]}
    policy = PoolPolicy(network=NetworkRule(allow=("files.example:443",)))
    async with world(tmp_path, policy=policy) as worker:
        run, outcome = await worker.shell("echo ran", network=asked)
        assert outcome == "malformed-payload"
        assert "files.example:443" in worker.queue.log_of(run)
        assert "ran" not in worker.log(run)


async def test_an_open_network_needs_the_pool_and_a_scope(tmp_path: Path) -> None:
    policy = PoolPolicy(network=NetworkRule(open=True))
    async with world(tmp_path, policy=policy) as worker:
        run, outcome = await worker.shell("echo ran", network={"default": "open"})
        assert outcome == "malformed-payload"
        assert "worker:open-network:local/unprivileged" in worker.queue.log_of(run)
        payload = {"command": ["true"], "network": {"default": "open"}}
        run, outcome = await worker.run(payload, scopes=["worker:open-network:local/*"])
        assert outcome == "completed"
        assert manifest(worker, run)["network"]["sealing"] == "open"


async def test_a_pool_that_requires_sealed_runs_refuses_the_api_proxy(tmp_path: Path) -> None:
    policy = PoolPolicy(network=NetworkRule(require="sealed"))
    async with world(tmp_path, policy=policy) as worker:
        run, outcome = await worker.shell("true", features={"taskclusterProxy": True})
        assert outcome == "malformed-payload"
        assert "the pool requires runs that are sealed; this one would be recorded" in worker.queue.log_of(
            run
        )


async def test_a_permitted_name_that_leads_to_this_machine_is_refused_unless_the_policy_names_it(
    tmp_path: Path,
) -> None:
    async with hostile_server() as server:
        server.file("/a", b"hello")
        asked = {"allow": [{"host": "localhost", "port": server.port, "reason": "a test"}]}
        rule = NetworkRule(allow=(f"localhost:{server.port}",))
        url = f"http://localhost:{server.port}/a"
        env = {"NO_PROXY": "", "no_proxy": ""}
        async with world(tmp_path, policy=PoolPolicy(network=rule)) as worker:
            run, _ = await worker.run(probing(url, network=asked, env=env))
            assert "is no public address" in manifest(worker, run)["network"]["refused"][0]["why"]
        named = PoolPolicy(network=rule, private_addresses=(f"localhost:{server.port}",))
        async with world(tmp_path, policy=named) as worker:
            run, _ = await worker.run(probing(url, network=asked, env=env))
            assert json.loads(worker.log(run))[url] == "hello"
            [made] = manifest(worker, run)["network"]["connections"]
            assert (made["host"], made["port"], made["received"] > 5) == ("localhost", server.port, True)
            assert manifest(worker, run)["network"]["sealing"] == "recorded"


SMUGGLE = """
import socket, sys
target = sys.argv[1]
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(f"GET http://{target}/a HTTP/1.1\\r\\nHost: evil.example\\r\\nX: y\\r\\n\\r\\n"
          f"GET http://evil.example/b HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n".encode())
data = b""
while chunk := s.recv(65536):
    data += chunk
print(data.count(b"HTTP/1.1"))
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(f"POST http://{target}/a HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 3\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n".encode())
print(s.recv(65536)[:12].decode())
"""


async def test_no_second_request_and_no_other_host_is_smuggled_through_an_allowed_place(
    tmp_path: Path,
) -> None:
    async with hostile_server() as server:
        server.routes["/a"] = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx"

        async def once(writer: Any) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx")

        server.routes["/a"] = once
        place = f"localhost:{server.port}"
        policy = PoolPolicy(network=NetworkRule(allow=(place,)), private_addresses=(place,))
        asked = {"allow": [{"host": "localhost", "port": server.port, "reason": "a test"}]}
        async with world(tmp_path, policy=policy) as worker:
            run, _ = await worker.run({"command": ["python3", "-I", "-c", SMUGGLE, place], "network": asked})
            assert worker.log(run).split("\n")[:2] == ["1", "HTTP/1.1 400"]
        assert len(server.asked) == 1
        assert f"host: {place}" in server.asked[0].lower()
        assert "evil" not in server.asked[0]


def wheel(name: str, version: str = "1.0") -> tuple[str, bytes]:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{name}.py"), "x = 1\n")
        info = f"{name}-{version}.dist-info"
        archive.writestr(
            zipfile.ZipInfo(f"{info}/METADATA"), f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            zipfile.ZipInfo(f"{info}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "")
    return f"{name}-{version}-py3-none-any.whl", made.getvalue()


async def test_the_locked_index_has_what_the_lock_names_and_nothing_else(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    name, content = wheel("alpha")
    (house / name).write_bytes(content)
    other, other_content = wheel("beta")
    (house / other).write_bytes(other_content)
    sha256 = hashlib.sha256(content).hexdigest()
    lock = {
        "name": "lock",
        "raw": {"content": f"alpha==1.0 --hash=sha256:{sha256}\n"},
        "mount": "/inputs/lock",
    }
    inside = "http://127.0.0.1:8074"
    beta = hashlib.sha256(other_content).hexdigest()
    urls = (
        f"{inside}/simple/",
        f"{inside}/simple/Alpha/",
        f"{inside}/files/{sha256}/{name}.metadata",
        f"{inside}/simple/beta/",
        f"{inside}/files/{beta}/{other}",
        f"{inside}/files/../../blobs",
    )
    async with world(tmp_path, wheelhouse=house) as worker:
        pip = {"name": "py", "pip": {"lock": {"input": "lock"}}}
        run, outcome = await worker.run(probing(*urls, inputs=[lock, pip]))
        assert outcome == "completed", worker.queue.log_of(run)
        said = json.loads(worker.log(run))
        assert "alpha" in said[urls[0]]
        assert "beta" not in said[urls[0]]
        assert f"{inside}/files/{sha256}/{name}#sha256={sha256}" in said[urls[1]]
        assert [said[url] for url in urls[2:]] == [404] * 4
        found = manifest(worker, run)["network"]
        assert found["sealing"] == "sealed"
        assert len(found["refused"]) == 4


async def test_a_snapshot_hides_what_was_uploaded_later_and_replays_from_its_record(tmp_path: Path) -> None:
    old_name, old = wheel("alpha", "1.0")
    new_name, new = wheel("alpha", "2.0")
    async with hostile_server() as server:
        files = [
            {
                "filename": file,
                "url": server.file(f"/f/{file}", content),
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "upload-time": uploaded,
            }
            for file, content, uploaded in (
                (old_name, old, "2026-01-01T00:00:00.000Z"),
                (new_name, new, "2026-06-01T00:00:00.000Z"),
            )
        ]
        unknown = {"filename": "alpha-3.0-py3-none-any.whl", "url": "/f/x", "hashes": {"sha256": "0" * 64}}
        listing = {"meta": {"api-version": "1.1"}, "name": "alpha", "files": [*files, unknown]}
        server.file("/simple/alpha/", json.dumps(listing).encode(), "application/vnd.pypi.simple.v1+json")
        policy = PoolPolicy(
            private_addresses=(server.place,),
            indexes={"main": Index("pypi", server.url("/simple"), snapshots=True)},
        )
        inside = "http://127.0.0.1:8074/snapshot/idx"
        urls = (
            f"{inside}/simple/alpha/",
            f"{inside}/files/alpha/{old_name}",
            f"{inside}/files/alpha/{new_name}",
        )
        source: dict[str, Any] = {"index": "main", "before": "2026-03-01T00:00:00Z"}
        probe = PROBE.replace(".read().decode()", ".read().decode('latin-1')")
        async with world(tmp_path, policy=policy) as worker:
            payload = probing(*urls, inputs=[{"name": "idx", "index-snapshot": source}])
            payload["command"][-1] = probe
            run, _ = await worker.run(payload)
            said = json.loads(worker.log(run))
            assert [one["filename"] for one in json.loads(said[urls[0]])["files"]] == [old_name]
            assert said[urls[1]].encode("latin-1") == old
            assert said[urls[2]] == 404
            first = manifest(worker, run)
            assert first["network"]["sealing"] == "recorded"
            assert first["inputs"][1]["discovered"] is True
            answers = [
                {"path": one["path"].partition(":")[2], "sha256": one["sha256"]}
                for one in first["network"]["answers"]
            ]
            assert len(answers) == 2
            asked = len(server.asked)
            source["answers"] = answers
            run, _ = await worker.run(payload)
            assert json.loads(worker.log(run)) == said
            second = manifest(worker, run)["network"]
            assert (second["sealing"], second["answers"]) == ("sealed", first["network"]["answers"])
            assert len(server.asked) == asked, "a replay asks nobody"


async def test_a_snapshot_that_the_pool_does_not_offer_is_refused(tmp_path: Path) -> None:
    policy = PoolPolicy(indexes={"main": Index("pypi", "https://index.example/simple")})
    source = {"index": "main", "before": "2026-03-01T00:00:00Z"}
    async with world(tmp_path, policy=policy) as worker:
        run, outcome = await worker.shell("true", inputs=[{"name": "idx", "index-snapshot": source}])
        assert outcome == "malformed-payload"
        assert "does not offer snapshots of main" in worker.queue.log_of(run)


async def test_locked_wheels_come_from_the_policys_index_by_the_locks_digest_only(tmp_path: Path) -> None:
    name, content = wheel("alpha")
    sha256 = hashlib.sha256(content).hexdigest()
    async with hostile_server() as server:
        url = server.file(f"/f/{name}", content)
        lie = {"filename": name, "url": url, "hashes": {"sha256": "0" * 64}}
        right = {"filename": name, "url": f"../../f/{name}", "hashes": {"sha256": sha256}}
        server.file("/simple/alpha/", json.dumps({"files": [lie, right]}).encode())
        index = {"main": Index("pypi", server.url("/simple"))}
        policy = PoolPolicy(private_addresses=(server.place,), indexes=index)
        async with world(tmp_path, policy=policy) as worker:

            def locked(digest: str) -> list[dict[str, Any]]:
                text = f"alpha==1.0 --hash=sha256:{digest}\n"
                return [
                    {"name": "lock", "raw": {"content": text}, "mount": "/inputs/lock"},
                    {"name": "py", "pip": {"lock": {"input": "lock"}}, "mount": "/inputs/py"},
                ]

            env = {"PYTHONPATH": "/inputs/py"}
            code = {"command": ["python3", "-c", "import alpha; print(alpha.x)"], "env": env}
            run, outcome = await worker.run({**code, "inputs": locked(sha256)})
            assert (outcome, worker.log(run)) == ("completed", "1\n"), worker.queue.log_of(run)
            run, outcome = await worker.run({**code, "inputs": locked("0" * 64)})
            assert outcome == "malformed-payload"
            assert f"declared sha256 {'0' * 64}, observed {sha256}" in worker.queue.log_of(run)
            run, outcome = await worker.run({**code, "inputs": locked("1" * 64)})
            assert outcome == "resource-unavailable"
            assert f"declared sha256 {'1' * 64}" in worker.queue.log_of(run)
