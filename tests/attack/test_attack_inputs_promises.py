"""Attacks on what inputs promise: wrong digests, signatures by others, over other bytes, changed comments, weak policies."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.fake_queue_client import answer
from fakes.sigstore_world import IDENTITY, ISSUER, SigstoreWorld
from hostile_server import HostileServer, hostile_server
from liftlock.domain.inputs import minisign
from liftlock.domain.inputs.package_lock import parse_package_lock
from liftlock.domain.inputs.policy import Index, Key, PoolPolicy, SignatureRule, parse_policy
from liftlock.errors import InputInvalidError, InputValidationError
from worker_world import World, world

CONTENT = b"what upstream released\n" * 50
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA512 = hashlib.sha512(CONTENT).hexdigest()
CAT = {"command": ["sh", "-c", "cat /inputs/x | sha256sum"]}


def signed(directory: Path, content: bytes = CONTENT, *flags: str) -> tuple[str, str]:
    """A new minisign key, and its signature of `content` by the real program."""
    directory.mkdir()
    (directory / "f").write_bytes(content)
    key, public = directory / "k", directory / "p"
    generate = ["minisign", "-G", "-W", "-p", str(public), "-s", str(key)]
    subprocess.run(generate, check=True, capture_output=True)
    subprocess.run(
        ["minisign", "-S", *flags, "-s", str(key), "-m", str(directory / "f")],
        check=True,
        capture_output=True,
        input=b"\n",
    )
    return public.read_text(), (directory / "f.minisig").read_text()


@asynccontextmanager
async def pool(tmp_path: Path, **rules: Any) -> AsyncIterator[tuple[World, HostileServer]]:
    async with hostile_server() as server:
        for key, value in rules.items():
            if callable(value):
                rules[key] = value(server)
        policy = PoolPolicy(private_addresses=(server.place,), **rules)
        async with world(tmp_path, policy=policy) as worker:
            yield worker, server


async def given(worker: World, **declared: Any) -> tuple[str, str, dict[str, Any]]:
    """Run a task with one input; return its outcome, log and manifest."""
    one = {"name": "x", "mount": "/inputs/x", **declared}
    run, outcome = await worker.run({**CAT, "inputs": [one]})
    manifest = json.loads(worker.queue.artifacts[run, "public/inputs.json"])
    return outcome, worker.queue.log_of(run), manifest


@pytest.mark.process
async def test_an_address_gives_what_was_declared_or_the_task_does_not_start(tmp_path: Path) -> None:
    async with pool(tmp_path) as (worker, server):
        url = server.file("/f.bin", CONTENT)
        outcome, log, manifest = await given(worker, url=url, sha256=SHA256, sha512=SHA512, size=len(CONTENT))
        assert outcome == "completed"
        assert SHA256 in log
        [file] = manifest["inputs"][0]["files"]
        assert (file["sha256"], file["sha512"], file["declaredSize"]) == (SHA256, SHA512, len(CONTENT))
        asked = len(server.asked)
        outcome, _, manifest = await given(worker, url=url, sha256=SHA256)
        assert (outcome, manifest["inputs"][0]["cached"], len(server.asked)) == ("completed", True, asked)
        for wrong, said in (
            ({"sha256": "0" * 64}, f"declared sha256 {'0' * 64}, observed {SHA256}"),
            ({"sha512": "0" * 128}, f"declared sha512 {'0' * 128}, observed {SHA512}"),
            ({"sha256": SHA256, "size": 7}, "declared 7 bytes, observed"),
        ):
            outcome, log, manifest = await given(worker, url=url, **wrong)
            assert outcome == "malformed-payload"
            assert said in log
            assert said in manifest["failed"]["error"]
            assert "command 1" not in log
        outcome, log, _ = await given(worker, url=server.url("/absent"), sha256="1" * 64)
        assert outcome == "resource-unavailable"
        assert "HTTP 404" in log


@pytest.mark.process
async def test_right_sha256_with_wrong_sha512_is_refused_also_from_the_store(tmp_path: Path) -> None:
    async with pool(tmp_path) as (worker, server):
        url = server.file("/f.bin", CONTENT)
        assert (await given(worker, url=url, sha256=SHA256))[0] == "completed"
        outcome, log, _ = await given(worker, url=url, sha256=SHA256, sha512="0" * 128)
        assert outcome == "malformed-payload"
        assert f"observed {SHA512}" in log


@pytest.mark.process
async def test_a_byte_flipped_in_the_store_ends_the_task_before_it_starts_until_it_is_restored(
    tmp_path: Path,
) -> None:
    async with pool(tmp_path) as (worker, server):
        url = server.file("/f.bin", CONTENT)
        assert (await given(worker, url=url, sha256=SHA256))[0] == "completed"
        blob = worker.machine.store / "blobs/sha256" / SHA256
        blob.chmod(0o644)
        flipped = b"W" + CONTENT[1:]
        blob.write_bytes(flipped)
        outcome, log, _ = await given(worker, url=url, sha256=SHA256)
        assert outcome == "resource-unavailable"
        assert f"declared sha256 {SHA256}, observed {hashlib.sha256(flipped).hexdigest()}" in log
        assert "command 1" not in log
        blob.write_bytes(CONTENT)
        assert (await given(worker, url=url, sha256=SHA256))[0] == "completed"


@pytest.mark.process
async def test_a_pool_requires_digests_and_signatures(tmp_path: Path) -> None:
    public, signature = signed(tmp_path / "keys")
    rules: dict[str, Any] = {
        "keys": {"upstream": Key("minisign", public), "other": Key("minisign", public)},
        "signatures": lambda server: (SignatureRule(server.url("/signed/"), "upstream"),),
    }
    async with pool(tmp_path, **rules) as (worker, server):
        outcome, log, _ = await given(worker, url=server.file("/f", CONTENT))
        assert (outcome, "the pool requires a digest" in log) == ("malformed-payload", True)
        url = server.file("/signed/f", CONTENT)
        outcome, log, _ = await given(worker, url=url, sha256=SHA256)
        assert (outcome, "the pool requires a signature by upstream" in log) == ("malformed-payload", True)
        other = {"minisign": {"key": "other", "content": signature}}
        outcome, _, _ = await given(worker, url=url, sha256=SHA256, verify=other)
        assert outcome == "malformed-payload"
        unknown = {"minisign": {"key": "mine", "content": signature}}
        outcome, log, _ = await given(worker, url=server.url("/f"), sha256=SHA256, verify=unknown)
        assert (outcome, "a minisign key that the pool's policy names" in log) == ("malformed-payload", True)
        where = server.file("/signed/f.minisig", signature.encode())
        right = {"minisign": {"key": "upstream", "signature": where}}
        outcome, log, manifest = await given(worker, url=url, sha256=SHA256, verify=right)
        assert outcome == "completed", log
        assert manifest["inputs"][0]["signature"]["keyId"] == minisign.parse_key(public).shown_id
        sigstore = {"sigstore": {"key": "upstream", "content": "{}"}}
        outcome, log, _ = await given(worker, url=url, sha256=SHA256, verify=sigstore)
        assert (outcome, "a sigstore key that the pool's policy names" in log) == ("malformed-payload", True)


@pytest.mark.process
async def test_a_sigstore_bundle_is_fetched_and_verified_before_the_task_starts(tmp_path: Path) -> None:
    sigstore = SigstoreWorld()
    key = Key("sigstore", sigstore.trusted_root, IDENTITY, ISSUER)
    async with pool(tmp_path, keys={"upstream": key}) as (worker, server):
        url = server.file("/f.bin", CONTENT)
        where = server.file("/f.bin.sigstore.json", sigstore.bundle(CONTENT))
        right = {"sigstore": {"key": "upstream", "bundle": where}}
        outcome, log, manifest = await given(worker, url=url, sha256=SHA256, verify=right)
        assert outcome == "completed", log
        assert manifest["inputs"][0]["signature"]["identity"] == IDENTITY
        other = server.file("/g.bin.sigstore.json", sigstore.bundle(b"other"))
        wrong = {"sigstore": {"key": "upstream", "bundle": other}}
        outcome, log, _ = await given(worker, url=url, sha256=SHA256, verify=wrong)
        assert (outcome, "the Sigstore bundle does not hold" in log) == ("malformed-payload", True)


@pytest.mark.parametrize("flags", [(), ("-l",)])
def test_minisign_signatures_hold_for_their_key_bytes_and_comment_only(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    public, text = signed(tmp_path / "a", CONTENT, *flags)
    key, signature = minisign.parse_key(public), minisign.parse_signature(text)
    assert signature.prehashed is (not flags)

    def body(content: bytes) -> bytes:
        return hashlib.blake2b(content).digest() if signature.prehashed else content

    minisign.verify(key, signature, body(CONTENT))
    with pytest.raises(InputValidationError, match="is not over these bytes"):
        minisign.verify(key, signature, body(CONTENT + b"x"))
    other, _ = signed(tmp_path / "b")
    with pytest.raises(InputValidationError, match="signed by the minisign key"):
        minisign.verify(minisign.parse_key(other), signature, body(CONTENT))
    forged = minisign.MinisignKey(key.key_id, minisign.parse_key(other).public)
    with pytest.raises(InputValidationError, match="is not over these bytes"):
        minisign.verify(forged, signature, body(CONTENT))
    lines = text.splitlines()
    lines[2] += "!"
    changed = minisign.parse_signature("\n".join(lines))
    with pytest.raises(InputValidationError, match="the trusted comment"):
        minisign.verify(key, changed, body(CONTENT))


def openpgp(home: Path, name: str) -> tuple[str, str]:
    """A new OpenPGP key, armoured, and its armoured signature of CONTENT."""
    home.mkdir(mode=0o700)
    (home / "f").write_bytes(CONTENT)

    def gpg(*arguments: str) -> str:
        done = subprocess.run(
            [
                "gpg",
                "--homedir",
                str(home),
                "--batch",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
                *arguments,
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    gpg("--quick-generate-key", f"{name} <{name}@example.com>", "ed25519", "sign", "never")
    found = gpg("--armor", "--export"), gpg("--armor", "--output", "-", "--detach-sign", str(home / "f"))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
    return found


@pytest.mark.process
async def test_openpgp_signatures_hold_for_their_key_and_bytes_only(tmp_path: Path) -> None:
    public, signature = openpgp(tmp_path / "one", "one")
    other, _ = openpgp(tmp_path / "two", "two")
    keys = {"one": Key("openpgp", public), "two": Key("openpgp", other)}
    async with pool(tmp_path, keys=keys) as (worker, server):
        url = server.file("/f", CONTENT)
        right = {"openpgp": {"key": "one", "content": signature}}
        outcome, log, manifest = await given(worker, url=url, sha256=SHA256, verify=right)
        assert outcome == "completed", log
        assert len(manifest["inputs"][0]["signature"]["fingerprint"]) == 40
        wrong_key = {"openpgp": {"key": "two", "content": signature}}
        outcome, log, _ = await given(worker, url=url, sha256=SHA256, verify=wrong_key)
        assert (outcome, "the OpenPGP signature does not hold" in log) == ("malformed-payload", True)
        changed = CONTENT + b"!"
        digest = hashlib.sha256(changed).hexdigest()
        outcome, log, _ = await given(worker, url=server.file("/g", changed), sha256=digest, verify=right)
        assert (outcome, "the OpenPGP signature does not hold" in log) == ("malformed-payload", True)


@pytest.mark.process
async def test_tooltool_files_are_found_by_their_sha512(tmp_path: Path) -> None:
    async with pool(tmp_path, tooltool=lambda server: server.url("")) as (worker, server):
        server.file(f"/sha512/{SHA512}", CONTENT)
        declared = {"sha512": SHA512, "size": len(CONTENT), "filename": "f.tar"}
        outcome, log, _ = await given(worker, tooltool=declared)
        assert outcome == "completed", log
        server.file(f"/sha512/{'1' * 128}", CONTENT)
        outcome, log, _ = await given(worker, tooltool=declared | {"sha512": "1" * 128})
        assert (outcome, f"observed {SHA512}" in log) == ("malformed-payload", True)


@pytest.mark.process
async def test_an_index_that_says_nothing_usable_ends_the_task(tmp_path: Path) -> None:
    async with pool(tmp_path) as (worker, _):
        worker.queue.answer = lambda _: answer(404, b"{}")
        outcome, log, _ = await given(worker, index={"namespace": "a.b", "artifact": "public/f"})
        assert (outcome, "nothing is indexed at a.b" in log) == ("resource-unavailable", True)
        assert worker.queue.forwarded[-1][0].target == b"/api/index/v1/task/a.b"


def npm_lock(**changes: Any) -> tuple[bytes, bytes]:
    """A package, and a lock that names it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo("package/index.js")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"js\n"))
    content = made.getvalue()
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"
    entry = {"version": "1.2.3", "integrity": integrity, "resolved": "http://evil.example/x.tgz"} | changes
    lock = {"lockfileVersion": 3, "packages": {"": {}, "node_modules/left": entry}}
    return content, json.dumps(lock).encode()


@pytest.mark.process
async def test_npm_packages_come_from_the_policys_registry_by_their_sha512(tmp_path: Path) -> None:
    content, lock = npm_lock()
    async with pool(tmp_path, indexes=lambda server: {"npm": Index("npm", server.url("/npm"))}) as (
        worker,
        server,
    ):
        server.file("/npm/left/-/left-1.2.3.tgz", content)
        holder = {"name": "lock", "raw": {"content": lock.decode()}, "mount": "/inputs/lock"}
        js = {"name": "js", "npm": {"lock": {"input": "lock"}}, "unpack": {"to": "/build/app"}}
        script = "cat app/node_modules/left/index.js"
        run, outcome = await worker.shell(script, inputs=[holder, js])
        assert (outcome, worker.log(run)) == ("completed", "js\n"), worker.queue.log_of(run)
        assert all("evil" not in asked for asked in server.asked)
        served = {"name": "js", "npm": {"lock": {"input": "lock"}}}
        code = "import json,urllib.request as u; d=json.load(u.urlopen('http://127.0.0.1:8074/npm/left'))['versions']['1.2.3']['dist']; print(len(u.urlopen(d['tarball']).read()), d['integrity'][:7])"
        run, outcome = await worker.run(
            {"command": ["python3", "-I", "-c", code], "inputs": [holder, served]}
        )
        assert worker.log(run) == f"{len(content)} sha512-\n", worker.queue.log_of(run)
        swapped, _ = npm_lock()
        server.file("/npm/left/-/left-1.2.3.tgz", swapped[:-1] + b"x")
        (worker.machine.store / "sha512" / hashlib.sha512(content).hexdigest()).unlink()
        run, outcome = await worker.shell(script, inputs=[holder, js])
        assert outcome == "malformed-payload"
        assert "declared sha512" in worker.queue.log_of(run)


@pytest.mark.parametrize(
    "changes",
    [
        {"integrity": None},
        {"integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
        {"integrity": "sha512-AAAA"},
        {"version": "../1"},
        {"name": "../../etc"},
        {"link": True},
    ],
)
def test_an_npm_lock_without_a_digest_or_with_a_path_is_refused(changes: dict[str, Any]) -> None:
    _, lock = npm_lock(**changes)
    with pytest.raises(InputValidationError, match="lock: packages"):
        parse_package_lock(lock, what="lock")


@pytest.mark.parametrize("place", ["../node_modules/a", "/node_modules/a", "node_modules/../../a", "a"])
def test_an_npm_lock_places_nothing_outside_of_node_modules(place: str) -> None:
    _, lock = npm_lock()
    document = json.loads(lock)
    document["packages"][place] = document["packages"].pop("node_modules/left")
    with pytest.raises(InputValidationError, match="below node_modules"):
        parse_package_lock(json.dumps(document).encode(), what="lock")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("digest-required = false", "unknown field"),
        ('private-addresses = ["127.0.0.1"]', "expected host:port"),
        ('[network]\nallow = ["*:443"]', "expected host:port"),
        ('[[signatures]]\nprefix = "https://x/"\nkey = "k"', "names the key 'k'"),
        ("level = 4", "expected 1, 2 or 3"),
        ("not toml", "the pool's policy"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_at_the_start(text: str, said: str) -> None:
    with pytest.raises(InputInvalidError) as caught:
        parse_policy(text)
    assert said in caught.value.message


def test_a_policy_says_what_it_says() -> None:
    found = parse_policy(
        'digests-required = false\n[network]\nallow = ["*.a.example:443"]\nrequire = "recorded"'
    )
    assert (found.digests_required, found.network.require, found.network.open) == (False, "recorded", False)
