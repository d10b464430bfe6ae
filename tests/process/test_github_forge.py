"""The GitHub adapter against a stand-in whose requests and answers are compared with GitHub's published description."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fakes.github_stand_in import GitHubStandIn, served
from github_descriptions import Description
from liftlock.adapters.github.credentials import load_key
from liftlock.adapters.github.forge import GitHubForge
from liftlock.adapters.system.clock import SystemClock
from liftlock.domain.forge.settings import ForgeRepository
from liftlock.errors import InputInvalidError
from liftlock.ports.forge import Check, ForgeUnavailableError, PullFacts

pytestmark = pytest.mark.process

REVISION = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
REPOSITORY = ForgeRepository(id=1296269, full_name="octocat/Hello-World", installation=99, project="hello")
CHECK = Check(
    external_id="op-1",
    head_revision=REVISION,
    name="liftlock: format",
    status="in_progress",
    conclusion=None,
    title="building",
    summary="stage 1 runs",
    url="https://liftlock.example.org/operations/op-1",
)


@pytest.fixture(scope="module")
def description() -> Description:
    return Description()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def github(description: Description, key: rsa.RSAPrivateKey) -> Iterator[GitHubStandIn]:
    made = GitHubStandIn(description, key.public_key())
    yield made
    assert made.wrong == []


@pytest.fixture
async def forge(github: GitHubStandIn, key: rsa.RSAPrivateKey) -> AsyncIterator[GitHubForge]:
    with served(github) as address:
        async with httpx2.AsyncClient() as client:
            yield GitHubForge(client, address, github.app_id, key, SystemClock())


async def test_a_pull_request_is_read_with_a_token_of_the_installation_that_is_asked_for_once(
    forge: GitHubForge, github: GitHubStandIn
) -> None:
    github.add_pull(7, REVISION, ref="topic/x")
    wanted = PullFacts(
        number=7,
        is_open=True,
        head_ref="topic/x",
        head_revision=REVISION,
        head_repository=1296269,
        base_ref="main",
        base_repository=1296269,
        author=1,
    )
    assert await forge.pull(REPOSITORY, 7) == wanted
    await forge.pull(REPOSITORY, 7)
    assert github.requests == [
        "POST /app/installations/99/access_tokens",
        "GET /repos/octocat/Hello-World/pulls/7",
        "GET /repos/octocat/Hello-World/pulls/7",
    ]


async def test_a_comment_whose_answer_was_lost_is_not_made_again(
    forge: GitHubForge, github: GitHubStandIn
) -> None:
    somebody = github.said(7, "<!-- liftlock:w/answer --> I am no app")
    await forge.react(REPOSITORY, somebody["id"])
    await forge.react(REPOSITORY, somebody["id"])
    original = github.comments[:]
    github.lost = {"POST /repos/octocat/Hello-World/issues/7/comments"}
    with pytest.raises(ForgeUnavailableError, match="HTTP 502"):
        await forge.comment(REPOSITORY, 7, "started: [x](y)", "w/answer")
    github.lost = set()
    await forge.comment(REPOSITORY, 7, "started: [x](y)", "w/answer")
    made = [each["body"] for each in github.comments if each not in original]
    assert made == ["started: [x](y)\n\n<!-- liftlock:w/answer -->"]
    assert github.reactions == [(somebody["id"], "eyes")]


async def test_a_check_is_found_again_by_app_external_id_and_revision_and_never_by_its_name(
    forge: GitHubForge, github: GitHubStandIn
) -> None:
    given = {"name": CHECK.name, "head_sha": REVISION, "external_id": CHECK.external_id, "status": "queued"}
    forged = github.made_check(666, dict(given))
    other = github.made_check(github.app_id, given | {"external_id": "op-2"})
    moved = github.made_check(github.app_id, given | {"head_sha": "1" * 40})
    run = await forge.check(REPOSITORY, CHECK, None)
    assert run not in {forged["id"], other["id"], moved["id"]}
    assert await forge.check(REPOSITORY, CHECK, None) == run
    done = Check(
        external_id="op-1",
        head_revision=REVISION,
        name=CHECK.name,
        status="completed",
        conclusion="success",
        title="done",
        summary="done",
        url=CHECK.url,
    )
    assert await forge.check(REPOSITORY, done, run) == run
    [ours] = [each for each in github.checks if each["id"] == run]
    assert (ours["status"], ours["conclusion"], ours["output"]["title"]) == ("completed", "success", "done")
    assert forged["status"] == "queued"


async def test_what_the_forge_refuses_is_told_apart_from_what_may_work_later(
    forge: GitHubForge, github: GitHubStandIn
) -> None:
    with pytest.raises(ForgeUnavailableError, match="octocat/Hello-World: HTTP 404: Not Found") as gone:
        await forge.pull(REPOSITORY, 8)
    assert not gone.value.again
    github.add_pull(8, REVISION)
    github.failing = [502]
    with pytest.raises(ForgeUnavailableError, match="HTTP 502") as broken:
        await forge.pull(REPOSITORY, 8)
    assert broken.value.again
    github.tokens.clear()
    with pytest.raises(ForgeUnavailableError, match="HTTP 401"):
        await forge.pull(REPOSITORY, 8)
    assert (await forge.pull(REPOSITORY, 8)).number == 8


async def test_a_forge_that_does_not_answer_may_answer_later(key: rsa.RSAPrivateKey) -> None:
    async with httpx2.AsyncClient() as client:
        forge = GitHubForge(client, "http://127.0.0.1:9", 4711, key, SystemClock())
        with pytest.raises(ForgeUnavailableError) as error:
            await forge.pull(REPOSITORY, 1)
    assert error.value.again


async def test_another_apps_key_gets_no_token(github: GitHubStandIn) -> None:
    other = rsa.generate_private_key(65537, 2048)
    with served(github) as address:
        async with httpx2.AsyncClient() as client:
            forge = GitHubForge(client, address, github.app_id, other, SystemClock())
            with pytest.raises(ForgeUnavailableError, match="HTTP 401: Bad credentials"):
                await forge.pull(REPOSITORY, 1)


def test_a_private_key_is_read_from_pem_and_nothing_weak_is_taken(key: rsa.RSAPrivateKey) -> None:
    def pem(which: rsa.RSAPrivateKey) -> str:
        form = serialization.PrivateFormat.TraditionalOpenSSL
        return which.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    assert load_key(pem(key)).private_numbers() == key.private_numbers()
    with pytest.raises(InputInvalidError, match="at least 2048 bits"):
        load_key(pem(rsa.generate_private_key(65537, 1024)))
    with pytest.raises(InputInvalidError, match="no PEM file without a password"):
        load_key("nothing")


def test_the_comparison_with_the_description_finds_what_is_wrong(description: Description) -> None:
    where = "/repos/octocat/Hello-World/check-runs"
    assert description.check_request("POST", where, b'{"name":"x","head_sha":"y","status":"queued"}') == []
    assert description.check_request("POST", where, b'{"name":1,"head_sha":"y"}') != []
    assert description.check_request("POST", where, b'{"name":"x"}') != []
    assert description.check_request("GET", "/repos/o/n/pulls/1?surprise=1", b"") != []
    assert description.check_request("GET", "/no/such/path", b"") != []
    assert description.check_answer("GET", "/repos/o/n/pulls/1", 200, {"id": 1}) != []
    assert description.check_answer("GET", "/repos/o/n/pulls/1", 299, {}) != []
