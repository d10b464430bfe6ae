"""Registries against the worker's login: it goes to its own registry and where that has its tokens, and nowhere else (B2)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostile_server import Handler, HostileServer, hostile_server
from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.client import HttpDownloader
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.inputs.oci import MANIFESTS, Descriptor, read_manifest
from liftlock.domain.inputs.policy import PoolPolicy
from liftlock.domain.inputs.registry_login import Login
from liftlock.errors import InputValidationError
from liftlock.ports.downloads import DownloadFailedError
from liftlock.worker.registry import RegistryBlobs
from oci_images import build, entry, layer, shell_layer
from worker_world import world

pytestmark = pytest.mark.process
PASSWORD = "correct-horse-battery"
LOGIN = Login("puller", PASSWORD)
BASIC = base64.b64encode(f"puller:{PASSWORD}".encode()).decode()
IMAGE = build(shell_layer("env"), layer(entry("opt/hello", b"a private image\n")))
NAME = "registry.example"


@dataclass(slots=True)
class Registry:
    """A registry that gives `IMAGE` to who shows `wanted`, and says `challenge` to everybody else."""

    main: HostileServer
    other: HostileServer
    wanted: str = "Bearer secret-token"
    challenge: str = ""

    def offer(self) -> None:
        for name in IMAGE.blobs:
            kind = "manifests" if name == IMAGE.digest else "blobs"
            self.main.routes[f"/v2/team/base/{kind}/sha256:{name}"] = self._give(IMAGE.blobs[name])

    def tokens_at(self, server: HostileServer, *, said: dict[str, str] | None = None) -> None:
        """Have tokens given at `server` to who shows the login."""
        self.challenge = f'Bearer realm="{server.url("/token")}",service="{NAME}"'
        body = json.dumps(said or {"token": "secret-token"}).encode()

        async def give(writer: asyncio.StreamWriter) -> None:
            ok = f"authorization: basic {BASIC}".lower() in server.asked[-1].lower()
            status = "200 OK" if ok else "401 Unauthorized"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()

        server.routes[f"/token?scope=repository%3Ateam%2Fbase%3Apull&service={NAME}"] = give

    def _give(self, content: bytes) -> Handler:
        async def give(writer: asyncio.StreamWriter) -> None:
            if f"authorization: {self.wanted}\r\n".lower() in self.main.asked[-1].lower():
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
            else:
                head = f"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {self.challenge}\r\n"
                writer.write(f"{head}content-length: 0\r\n\r\n".encode())
            await writer.drain()

        return give


@asynccontextmanager
async def registry() -> AsyncIterator[Registry]:
    """The registry, and a server of somebody else's."""
    async with hostile_server() as main, hostile_server() as other:
        made = Registry(main, other)
        made.offer()
        yield made


async def pull(made: Registry, directory: Path, login: Login | None = LOGIN, base: str = "") -> None:
    """Fetch the whole image as a worker does."""
    downloader = HttpDownloader(Addresses((made.main.place, made.other.place)))
    store = FileInputStore(directory / "store", SystemEntropy())
    blobs = RegistryBlobs(store, base or made.main.url(""), "team/base", downloader, login)
    try:
        await blobs.get(Descriptor(IMAGE.digest, 0, MANIFESTS[0]), "manifest")
        config, layers = read_manifest(IMAGE.blobs[IMAGE.digest])
        for one in (config, *layers):
            await blobs.get(one, "blob")
    finally:
        await downloader.close()


async def run(tmp_path: Path, made: Registry, command: str) -> tuple[str, str]:
    """Run in the image; return the outcome and the whole log, after a look for the login in all that was uploaded."""
    rules = PoolPolicy(registries={NAME: made.main.url("")}, private_addresses=(made.main.place,))
    async with world(tmp_path, policy=rules, logins={NAME: LOGIN}) as worker:
        image = {"oci": f"{NAME}/team/base@sha256:{IMAGE.digest}"}
        task, outcome = await worker.run({"command": ["sh", "-c", command], "image": image})
        for data in worker.queue.artifacts.values():
            assert PASSWORD.encode() not in data
            assert BASIC.encode() not in data
        return outcome, worker.queue.log_of(task)


def got_login(server: HostileServer) -> list[str]:
    """The request lines that brought the login to a server."""
    return [head.split("\r\n")[0] for head in server.asked if BASIC.lower() in head.lower()]


async def test_a_login_is_shown_where_its_registry_has_tokens(tmp_path: Path) -> None:
    """Without this, the refusals below would prove nothing."""
    async with registry() as made:
        made.tokens_at(made.main)
        outcome, said = await run(tmp_path, made, "cat /opt/hello; env; cat /inputs/inputs.json")
        assert outcome == "completed", said
        assert "a private image" in said
        assert len(got_login(made.main)) == 1, "it is shown once, for the token"
        assert "secret-token" not in said


async def test_a_registry_that_wants_the_login_itself_is_shown_it(tmp_path: Path) -> None:
    async with registry() as made:
        made.wanted, made.challenge = f"Basic {BASIC}", 'Basic realm="images"'
        await pull(made, tmp_path)
        assert got_login(made.other) == []


async def test_a_login_is_shown_elsewhere_only_where_the_configuration_says_so(tmp_path: Path) -> None:
    async with registry() as made:
        made.tokens_at(made.other)
        with pytest.raises(InputValidationError) as caught:
            await pull(made, tmp_path)
        said = f"the registry has its tokens at {made.other.url('')}, for which its login is not"
        assert said in caught.value.message
        assert made.other.asked == []
        await pull(made, tmp_path, Login("puller", PASSWORD, made.other.url("")))
        assert (len(got_login(made.other)), got_login(made.main)) == (1, [])


@pytest.mark.parametrize("back", [False, True])
async def test_a_redirect_takes_no_login_along(tmp_path: Path, *, back: bool) -> None:
    """Of the token's address: not to another origin, and not from there to the first one again."""
    async with registry() as made:
        made.tokens_at(made.main)
        where = f"/token?scope=repository%3Ateam%2Fbase%3Apull&service={NAME}"
        made.main.redirect(where, made.other.url("/elsewhere"))
        if back:
            made.other.redirect("/elsewhere", made.main.url("/token2"))
        (made.main if back else made.other).file("/token2" if back else "/elsewhere", b'{"token": "stolen"}')
        with pytest.raises(DownloadFailedError, match="HTTP 401"):
            await pull(made, tmp_path)
        assert made.other.asked, "the redirect was followed"
        assert got_login(made.other) == []
        assert got_login(made.main) == [f"GET {where} HTTP/1.1"]


async def test_a_redirect_of_a_blob_takes_neither_login_nor_token_along(tmp_path: Path) -> None:
    async with registry() as made:
        made.tokens_at(made.main)
        for name, content in IMAGE.blobs.items():
            if name != IMAGE.digest:
                path = f"/v2/team/base/blobs/sha256:{name}"
                made.main.redirect(path, made.other.url(path))
                made.other.file(path, content)
        await pull(made, tmp_path)
        assert made.other.asked
        assert not any("authorization" in head.lower() for head in made.other.asked)


async def test_a_login_is_not_shown_to_another_registry_that_asks_for_it(tmp_path: Path) -> None:
    """The other one says that its tokens are where the first one has them."""
    async with registry() as made:
        made.tokens_at(made.main)
        path = f"/v2/team/base/manifests/sha256:{IMAGE.digest}"
        refusal = f"HTTP/1.1 401 No\r\nwww-authenticate: {made.challenge}\r\ncontent-length: 0\r\n\r\n"
        made.other.routes[path] = refusal.encode()
        with pytest.raises(DownloadFailedError):
            await pull(made, tmp_path, None, made.other.url(""))
        with pytest.raises(InputValidationError, match="for which its login is not"):
            await pull(made, tmp_path, LOGIN, made.other.url(""))
        assert got_login(made.main) == got_login(made.other) == []


async def test_a_registry_that_repeats_the_login_does_not_bring_it_into_the_log(tmp_path: Path) -> None:
    async with registry() as made:
        made.challenge, made.wanted = f'Evil {BASIC}, realm="{PASSWORD}"', "nothing"
        outcome, said = await run(tmp_path, made, "echo ran")
        assert outcome == "malformed-payload"
        assert "Evil [hidden]" in said
        assert "ran" not in said
