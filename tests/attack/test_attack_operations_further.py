"""Signing, promoting and moving: what a requester, a repository or an index could try, and what is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from distribution_builders import METADATA, SDIST_NAME, WHEEL_NAME, sdist, wheel
from liftlock.domain.inputs.minisign import parse_signature
from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.privileged.performing import PerformRefusedError, WrongSettingsError
from operation_builders import frozen, operation
from privileged_world import Bare, Bench

STAGING, SIMPLE = "https://staging.example.org/simple/", "https://index.example.org/simple/"
PROMOTE = {"name": "gadget", "staging": STAGING, "upload": "https://index.example.org/", "simple": SIMPLE}
MANIFEST = {"files": [{"names": "release.json", "least": 1, "type": "json"}]}
VERSION = frozen(input={"version": "1.0"})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "worker")


def minisign_key(folder: Path, name: str) -> tuple[str, str]:
    """Return the secret and the public key file that minisign makes."""
    secret, public = folder / f"{name}.key", folder / f"{name}.pub"
    subprocess.run(["minisign", "-G", "-W", "-s", secret, "-p", public], check=True, capture_output=True)
    return secret.read_text(), public.read_text()


def minisign_says(public: Path, file: Path) -> str:
    """Return what minisign says of a file with a good signature beside it."""
    command = ["minisign", "-V", "-p", public, "-m", file]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def test_a_signed_artifact_verifies_with_minisign_and_says_what_it_is(
    bench: Bench, tmp_path: Path
) -> None:
    bench.secrets["key"], public = minisign_key(tmp_path, "ours")
    files = {"dist/a.bin": b"\x00\x01", "notes.txt": b"x"}
    done = await bench.perform("sign-artifacts", {"publicKey": public}, files)
    for path, content in {**files, "SHA256SUMS": done.made["public/signatures/SHA256SUMS"]}.items():
        (tmp_path / "file").write_bytes(content)
        (tmp_path / "file.minisig").write_bytes(done.made[f"public/signatures/{path}.minisig"])
        said = minisign_says(tmp_path / "ours.pub", tmp_path / "file")
        assert f"file:{path} sha256:{hashlib.sha256(content).hexdigest()}" in said
        assert f"revision:{frozen().revision}" in said
    sums = done.made["public/signatures/SHA256SUMS"].decode().splitlines()
    assert sums == [f"{hashlib.sha256(files[path]).hexdigest()}  {path}" for path in sorted(files)]
    assert done.made == (await bench.perform("sign-artifacts", {"publicKey": public}, files)).made


async def test_a_key_that_was_put_in_the_place_of_the_configured_one_signs_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    bench.secrets["key"], _ = minisign_key(tmp_path, "theirs")
    _, public = minisign_key(tmp_path, "ours")
    with pytest.raises(PerformRefusedError, match="and the configuration says") as caught:
        await bench.perform("sign-artifacts", {"publicKey": public}, {"a": b""})
    assert caught.value.details["rule"] == "key"
    assert bench.notes == []


async def test_a_signature_of_one_file_is_none_of_another_name(bench: Bench, tmp_path: Path) -> None:
    bench.secrets["key"], public = minisign_key(tmp_path, "ours")
    done = await bench.perform("sign-artifacts", {"publicKey": public}, {"a": b"same", "b": b"same"})
    comments = {
        name: parse_signature(done.made[f"public/signatures/{name}.minisig"].decode()).comment
        for name in ("a", "b")
    }
    assert comments["a"].startswith("file:a ")
    assert comments["b"].startswith("file:b ")


@pytest.mark.parametrize(("files", "rule"), [({}, "files"), ({"SHA256SUMS": b""}, "names")])
async def test_nothing_and_a_list_of_the_tasks_own_are_not_signed(
    bench: Bench, tmp_path: Path, files: dict[str, bytes], rule: str
) -> None:
    bench.secrets["key"], public = minisign_key(tmp_path, "ours")
    with pytest.raises(PerformRefusedError) as caught:
        await bench.perform("sign-artifacts", {"publicKey": public}, files)
    assert caught.value.details["rule"] == rule


@pytest.mark.parametrize(
    "text", ["", "no base64", "AAAA", "untrusted comment: x\n" + "RWQ" + "A" * 40], ids=str
)
async def test_a_broken_key_is_refused_without_a_word_of_it(bench: Bench, tmp_path: Path, text: str) -> None:
    _, public = minisign_key(tmp_path, "ours")
    bench.secrets["key"] = text
    with pytest.raises(InputValidationError, match=r"^a minisign secret key: expected") as caught:
        await bench.perform("sign-artifacts", {"publicKey": public}, {"a": b""})
    assert not text or text.splitlines()[-1] not in caught.value.message


async def test_a_branch_is_moved_forward_and_never_back_or_aside(bench: Bench, tmp_path: Path) -> None:
    bare = Bare.make(tmp_path / "repository")
    first = bare.commit("one", "stable")
    bare.commit("two")
    third = bare.commit("three")
    settings = {"address": bare.address, "branch": "stable"}
    done = await bench.perform("move-ref", settings, {}, frozen(revision=third))
    assert bare.at("refs/heads/stable") == third
    assert done.facts == {"reference": "refs/heads/stable", "before": first, "after": third}
    again = await bench.perform("move-ref", settings, {}, frozen(revision=third))
    assert again.summary == f"stable is at {third} already"
    with pytest.raises(PerformRefusedError, match="moved forward only") as caught:
        await bench.perform("move-ref", settings, {}, frozen(revision=first))
    assert caught.value.details["rule"] == "not-forward"
    bare.git("checkout", "--quiet", "--orphan", "aside")
    aside = bare.commit("aside", "aside")
    with pytest.raises(PerformRefusedError, match="moved forward only"):
        await bench.perform("move-ref", settings, {}, frozen(revision=aside))
    assert bare.at("refs/heads/stable") == third


async def test_a_tag_is_made_once_and_never_moved(bench: Bench, tmp_path: Path) -> None:
    bare = Bare.make(tmp_path / "repository")
    first, second = bare.commit("one"), bare.commit("two")
    settings = {"address": bare.address, "tagField": "version", "tagPrefix": "v"}
    request = frozen(revision=first, input={"version": "1.0"})
    done = await bench.perform("move-ref", settings, {}, request)
    assert bare.at("refs/tags/v1.0") == done.facts["tag"]
    assert bare.at("refs/tags/v1.0^{}") == first
    bare.git("fetch", "--quiet", "--tags", "origin")
    assert f"Liftlock-Request: sha256:{request.digest}" in bare.git("cat-file", "tag", "v1.0")
    assert (await bench.perform("move-ref", settings, {}, request)).summary == (
        "the tag v1.0 is there already, made by this request"
    )
    for other in (frozen(revision=second, input={"version": "1.0"}), frozen(revision=first, requester="x")):
        with pytest.raises(PerformRefusedError, match="tags are never moved") as caught:
            await bench.perform("move-ref", settings, {}, other)
        assert caught.value.details["rule"] == "tag-exists"
    assert bare.at("refs/tags/v1.0^{}") == first


@pytest.mark.parametrize(
    "name", ["../heads/main", "-d", "a b", "a..b", "x.lock", "", 7, None, "a\n", "refs/heads/main", "x."]
)
async def test_a_tags_name_is_no_way_to_another_reference(bench: Bench, tmp_path: Path, name: Any) -> None:
    bare = Bare.make(tmp_path / "repository")
    first = bare.commit("one")
    settings = {"address": bare.address, "tagField": "version"}
    with pytest.raises(PerformRefusedError) as caught:
        await bench.perform("move-ref", settings, {}, frozen(revision=first, input={"version": name}))
    assert caught.value.details["rule"] == "tag-name"
    assert bare.git("ls-remote", bare.address).splitlines() == [f"{first}\tHEAD", f"{first}\trefs/heads/main"]


def manifest(files: dict[str, bytes], **changes: str) -> dict[str, bytes]:
    named = [
        {"filename": name, "sha256": changes.get(name, hashlib.sha256(content).hexdigest())}
        for name, content in files.items()
    ]
    return {"release.json": json.dumps({"files": named}).encode()}


FILES = {WHEEL_NAME: wheel(), SDIST_NAME: sdist()}


@pytest.fixture
def promoting(bench: Bench) -> Bench:
    bench.secrets["token"] = bench.index.token
    for name, content in FILES.items():
        bench.index.put(STAGING, "gadget", name, content)
    return bench


async def test_a_staged_release_is_promoted_byte_for_byte_and_once(promoting: Bench) -> None:
    done = await promoting.perform("promote-release", PROMOTE, manifest(FILES), VERSION, contract=MANIFEST)
    assert sorted(done.facts["uploaded"]) == sorted(FILES)
    for name, content in FILES.items():
        assert await promoting.index.fetch(SIMPLE, "gadget", name, max_bytes=1 << 20) == content
    again = await promoting.perform("promote-release", PROMOTE, manifest(FILES), VERSION, contract=MANIFEST)
    assert again.facts["uploaded"] == []


async def test_a_staged_file_that_was_swapped_after_the_approval_is_not_promoted(promoting: Bench) -> None:
    approved = manifest(FILES)
    promoting.index.put(STAGING, "gadget", SDIST_NAME, sdist(members={"gadget-1.0/evil.py": b"evil"}))
    with pytest.raises(PerformRefusedError, match="and what was approved is") as caught:
        await promoting.perform("promote-release", PROMOTE, approved, VERSION, contract=MANIFEST)
    assert caught.value.details["rule"] == "staged"
    assert promoting.index.uploads == []


async def test_a_file_that_was_never_staged_is_not_promoted(promoting: Bench) -> None:
    wanted = manifest({**FILES, "gadget-1.0-cp311-cp311-any.whl": b"x"})
    with pytest.raises(PerformRefusedError, match="the staging index does not have it"):
        await promoting.perform("promote-release", PROMOTE, wanted, VERSION, contract=MANIFEST)
    assert promoting.index.uploads == []


async def test_a_staged_release_of_another_version_or_project_is_not_promoted(promoting: Bench) -> None:
    request = frozen(input={"version": "2.0"})
    with pytest.raises(InputValidationError, match=r"what was approved is gadget 2\.0"):
        await promoting.perform("promote-release", PROMOTE, manifest(FILES), request, contract=MANIFEST)
    other = sdist(metadata=METADATA.replace("gadget", "other"))
    promoting.index.put(STAGING, "gadget", SDIST_NAME, other)
    wanted = manifest({SDIST_NAME: other})
    with pytest.raises(InputValidationError, match="its name says gadget"):
        await promoting.perform("promote-release", PROMOTE, wanted, VERSION, contract=MANIFEST)
    assert promoting.index.uploads == []


async def test_a_published_file_is_not_replaced_by_a_promotion(promoting: Bench) -> None:
    promoting.index.put(SIMPLE, "gadget", SDIST_NAME, b"there before")
    with pytest.raises(PerformRefusedError, match="another file of that name already"):
        await promoting.perform("promote-release", PROMOTE, manifest(FILES), VERSION, contract=MANIFEST)
    assert promoting.index.uploads == [WHEEL_NAME]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b'{"files": []}',
        b'{"files": [{"filename": "../a.whl", "sha256": "' + b"0" * 64 + b'"}]}',
        b'{"files": [{"filename": "a.exe", "sha256": "' + b"0" * 64 + b'"}]}',
        b'{"files": [{"filename": "a.whl", "sha256": "00"}]}',
        b'{"files": [{"filename": "a.whl", "sha256": "' + b"0" * 64 + b'", "url": "https://evil"}]}',
        b'{"files": [' + b",".join([b'{"filename": "a.whl", "sha256": "' + b"0" * 64 + b'"}'] * 2) + b"]}",
    ],
)
async def test_a_manifest_that_names_anything_else_than_staged_files_is_refused(
    promoting: Bench, said: bytes
) -> None:
    with pytest.raises(InputValidationError):
        await promoting.perform(
            "promote-release", PROMOTE, {"release.json": said}, VERSION, contract=MANIFEST
        )
    assert promoting.index.uploads == []


@pytest.mark.parametrize(
    ("kind", "settings", "secret", "changes", "message"),
    [
        ("sign-artifacts", {"publicKey": "no"}, "key", {}, "publicKey: a minisign public key"),
        ("sign-artifacts", {"publicKey": "RWQ" + "A" * 53}, "", {}, "expected `key: NAME`"),
        ("move-ref", {"address": "/srv/a.git"}, "", {}, "expected either branch or tagField"),
        (
            "move-ref",
            {"address": "/a", "branch": "b", "tagField": "version"},
            "",
            {},
            "expected either branch",
        ),
        ("move-ref", {"address": "/a", "tagField": "name"}, "", {}, "expected a required field 'name'"),
        ("move-ref", {"address": "/a", "branch": "../x"}, "", {}, "settings: "),
        ("move-ref", {"address": "http://a/b", "branch": "x"}, "", {}, "settings: "),
        ("promote-release", PROMOTE, "token", {}, "contract.files: expected one item"),
        ("promote-release", PROMOTE, "", {"contract": MANIFEST}, "expected `token: NAME`"),
        ("promote-release", {**PROMOTE, "versionField": "v"}, "token", {"contract": MANIFEST}, "field 'v'"),
    ],
)
def test_settings_that_make_no_sense_are_named_at_the_start(
    bench: Bench, kind: str, settings: dict[str, Any], secret: str, changes: dict[str, Any], message: str
) -> None:
    if secret:
        bench.secrets[secret] = "x"
    with pytest.raises(WrongSettingsError) as caught:
        bench.checked(kind, settings, **changes)
    assert message in caught.value.message
    assert caught.value.message.startswith("operations.publish-widget.")


COMMIT = {"paths": ["**/*.py"], "message": "Format", "target": "same"}
TREE = {"files": [{"names": "tree/**/*.py", "most": 9}]}


async def test_a_forks_pull_request_gets_a_patch_and_no_branch_of_ours_is_touched(
    bench: Bench, tmp_path: Path
) -> None:
    bare = Bare.make(tmp_path / "repository")
    bare.commit("one", files={"a.py": "x = 1\n"})
    bare.git("checkout", "--quiet", "-b", "theirs")
    head = bare.commit("two", "theirs", files={"a.py": "x = [ 1 ]\n"})
    bare.git("push", "--quiet", "origin", f"{head}:refs/pull/7/head", ":refs/heads/theirs")
    before = bare.git("ls-remote", bare.address)
    request = frozen(revision=head, ref="refs/pull/7/head")
    done = await bench.perform(
        "commit-files",
        {**COMMIT, "address": bare.address},
        {"tree/a.py": b"x = [1]\n"},
        request,
        contract=TREE,
        pullRequests=True,
    )
    assert bare.git("ls-remote", bare.address) == before, "nothing was pushed"
    patch = tmp_path / "changes.patch"
    patch.write_bytes(done.made["public/changes.patch"])
    assert b"-x = [ 1 ]\n+x = [1]\n" in patch.read_bytes()
    assert f"Liftlock-Request: sha256:{request.digest}".encode() in patch.read_bytes()
    bare.git("am", "--quiet", str(patch))
    assert bare.git("show", "HEAD:a.py") == "x = [1]"


@pytest.mark.parametrize(
    "ref", ["refs/pull/7/merge", "refs/pull/0/head", "refs/heads/main", "refs/pull/07/head"]
)
def test_only_the_head_of_a_pull_request_is_taken_for_one(ref: str) -> None:
    taken = operation(pullRequests=True, refs=["*"], contract=TREE, stage2={"kind": "commit-files"})
    assert not taken.takes_ref(ref)
    assert taken.takes_ref("refs/pull/7/head")
    assert not operation(refs=["*"]).takes_ref("refs/pull/7/head")


def test_what_nobody_has_merged_is_never_published_signed_or_moved() -> None:
    for kind in ("publish-distribution", "sign-artifacts", "promote-release", "move-ref"):
        with pytest.raises(InputInvalidError, match="takes what nobody has merged"):
            operation(pullRequests=True, stage2={"kind": kind})
