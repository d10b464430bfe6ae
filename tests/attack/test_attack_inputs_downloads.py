"""Attacks on the downloader: addresses of this machine in every spelling, redirects, lies about length, slow senders."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hostile_server import HostileServer, hostile_server
from liftlock.adapters.downloads.addresses import Addresses, plain
from liftlock.adapters.downloads.client import HttpDownloader
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.errors import LiftlockError
from liftlock.ports.downloads import DownloadFailedError, DownloadRefusedError
from liftlock.ports.input_store import InputRejectedError, StoreDamagedError

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA512 = hashlib.sha512(CONTENT).hexdigest()


@asynccontextmanager
async def downloading(
    *private: str, stall_s: float = 5.0, grace_s: float = 5.0
) -> AsyncIterator[tuple[HostileServer, HttpDownloader]]:
    async with hostile_server() as server:
        allowed = [one.replace("PORT", str(server.port)) for one in private]
        client = HttpDownloader(Addresses(allowed), stall_s=stall_s, grace_s=grace_s)
        try:
            yield server, client
        finally:
            await client.close()


async def fetch(client: HttpDownloader, url: str, max_bytes: int = 1 << 20) -> bytes:
    async with client.open(url, max_bytes=max_bytes) as opened:
        return b"".join([chunk async for chunk in opened.chunks])


HOSTS = [
    "127.0.0.1",
    "localhost",
    "127.1",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "169.254.169.254",
    "10.0.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "100.64.0.1",
    "[fe80::1]",
    "[fd00::1]",
    "224.0.0.1",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_of_a_private_address_is_connected_to(host: str) -> None:
    async with downloading() as (server, client):
        server.file("/secret", b"s")
        with pytest.raises(DownloadFailedError) as caught:
            await fetch(client, f"http://{host}:{server.port}/secret")
        refused = isinstance(caught.value, DownloadRefusedError)
        assert refused or "has no address" in caught.value.message, caught.value.message
        assert server.asked == []


async def test_a_redirect_to_no_spelling_of_a_private_address_is_followed() -> None:
    async with downloading("127.0.0.1:PORT") as (server, client), hostile_server() as other:
        other.file("/secret", b"s")
        for number, host in enumerate(HOSTS):
            with pytest.raises(DownloadFailedError) as caught:
                await fetch(client, server.redirect(f"/r{number}", f"http://{host}:{other.port}/secret"))
            refused = isinstance(caught.value, DownloadRefusedError)
            assert refused or "has no address" in caught.value.message, caught.value.message
        assert other.asked == []
        assert len(server.asked) == len(HOSTS)


async def test_a_named_private_address_is_connected_to_on_that_port_only() -> None:
    async with downloading("127.0.0.1:PORT") as (server, client), hostile_server() as other:
        assert await fetch(client, server.file("/a", CONTENT)) == CONTENT
        other.file("/secret", b"s")
        with pytest.raises(DownloadRefusedError, match=r"127\.0\.0\.1 is no public address"):
            await fetch(client, other.url("/secret"))
        assert other.asked == []


async def test_a_redirect_to_another_port_of_this_machine_is_not_followed() -> None:
    async with downloading("127.0.0.1:PORT") as (server, client), hostile_server() as other:
        other.file("/secret", b"s")
        for index, target in enumerate(
            (
                other.url("/secret"),
                f"http://localhost:{other.port}/secret",
                f"http://[::ffff:127.0.0.1]:{other.port}/",
            )
        ):
            with pytest.raises(DownloadRefusedError):
                await fetch(client, server.redirect(f"/r{index}", target))
        assert other.asked == []


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "http://u:p@127.0.0.1/", ""]
)
async def test_a_redirect_leads_to_http_without_a_user_only(target: str) -> None:
    async with downloading("127.0.0.1:PORT") as (server, client):
        with pytest.raises(DownloadRefusedError):
            await fetch(client, server.redirect("/r", target))


async def test_redirects_in_a_circle_end() -> None:
    async with downloading("127.0.0.1:PORT") as (server, client):
        with pytest.raises(DownloadFailedError, match="redirects in a row"):
            await fetch(client, server.redirect("/r", "/r"))
        assert len(server.asked) == 9


async def test_headers_for_one_origin_do_not_travel_to_another() -> None:
    async with hostile_server() as first, hostile_server() as second:
        client = HttpDownloader(Addresses((first.place, second.place)))
        second.file("/b", CONTENT)
        secret = (("authorization", "Bearer s3cret"),)
        async with client.open(
            first.redirect("/a", second.url("/b")), max_bytes=1 << 20, headers=secret
        ) as opened:
            assert opened.url == second.url("/b")
        await client.close()
        assert "s3cret" in first.asked[0]
        assert "s3cret" not in second.asked[0]


async def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: the second answer of the resolver would be loopback; nobody asks for it."""
    asked: list[str] = []
    real = asyncio.get_running_loop().getaddrinfo

    async def changing(host: str, port: int, **more: object) -> object:
        asked.append(host)
        if host == "rebinding.example":
            return [
                (
                    socket.AF_INET,
                    socket.SOCK_STREAM,
                    6,
                    "",
                    ("192.0.0.9" if len(asked) == 1 else "127.0.0.1", port),
                )
            ]
        return await real(host, port, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", changing)
    assert await Addresses().resolve("rebinding.example", 80) == ["192.0.0.9"]
    with pytest.raises(DownloadRefusedError, match=r"127\.0\.0\.1 is no public address"):
        await Addresses().resolve("rebinding.example", 80)


async def test_one_private_address_among_public_ones_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def both(host: str, port: int, **_: object) -> object:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("93.184.216.34", "10.0.0.7")
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(DownloadRefusedError, match=r"10\.0\.0\.7"):
        await Addresses().resolve("both.example", 443)


def test_addresses_inside_of_addresses_are_seen() -> None:
    for spelled in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"):
        assert str(plain(spelled)) == "127.0.0.1"


async def test_an_endless_body_ends_at_the_cap() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with downloading("127.0.0.1:PORT") as (server, client):
        server.routes["/endless"] = endless
        with pytest.raises(DownloadFailedError, match="more than 1000000 bytes"):
            await fetch(client, server.url("/endless"), max_bytes=1_000_000)
        assert sent < 64 << 20


async def test_a_length_that_is_too_small_or_too_large_is_an_error() -> None:
    async with downloading("127.0.0.1:PORT", stall_s=0.5) as (server, client):
        server.routes["/long"] = b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\nconnection: close\r\n\r\nshort"
        with pytest.raises(DownloadFailedError):
            await fetch(client, server.url("/long"))
        server.routes["/claims"] = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"
        with pytest.raises(DownloadFailedError, match="it says it has 99999999999 bytes"):
            await fetch(client, server.url("/claims"))


async def test_a_sender_that_stalls_or_trickles_is_given_up() -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with downloading("127.0.0.1:PORT", stall_s=0.3, grace_s=0.3) as (server, client):
        server.routes |= {"/trickle": trickle, "/silent": silent}
        with pytest.raises(DownloadFailedError, match="too slow"):
            await fetch(client, server.url("/trickle"))
        with pytest.raises(DownloadFailedError, match="too slow"):
            await fetch(client, server.url("/silent"))


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        ({"sha256": "0" * 64}, f"declared sha256 {'0' * 64}, observed {SHA256}"),
        ({"sha256": SHA256, "sha512": "0" * 128}, f"declared sha512 {'0' * 128}, observed {SHA512}"),
        ({"sha256": SHA256, "size": len(CONTENT) - 1}, "it has more than 10239 bytes"),
        ({"sha256": SHA256, "size": len(CONTENT) + 1}, "declared 10241 bytes, observed 10240"),
    ],
)
async def test_bytes_that_break_one_promise_are_not_kept(
    tmp_path: Path, promise: dict[str, object], said: str
) -> None:
    store = FileInputStore(tmp_path, SystemEntropy())
    with pytest.raises(InputRejectedError) as caught:
        await store.add(chunks(CONTENT), what="x", max_bytes=1 << 20, **promise)  # type: ignore[arg-type]
    assert said in caught.value.message
    assert store.blob(SHA256) is None
    assert list((tmp_path / "incoming").iterdir()) == []


def overwrite(path: str, content: bytes) -> None:
    Path(path).chmod(0o644)
    Path(path).write_bytes(content)


async def test_a_byte_flipped_in_the_store_is_found_before_it_is_used(tmp_path: Path) -> None:
    store = FileInputStore(tmp_path, SystemEntropy())
    blob = await store.add(chunks(CONTENT), what="x", max_bytes=1 << 20)
    assert await store.verified(SHA256) == blob
    flipped = CONTENT[:-1] + bytes((CONTENT[-1] ^ 1,))
    overwrite(blob.path, flipped)
    store.blob(SHA256)  # to be looked at is no proof
    with pytest.raises(StoreDamagedError) as caught:
        await store.verified(SHA256)
    assert f"declared sha256 {SHA256}, observed {hashlib.sha256(flipped).hexdigest()}" in caught.value.message
    overwrite(blob.path, CONTENT)
    assert await store.verified(SHA256) == blob
    overwrite(blob.path, flipped)
    restarted = FileInputStore(tmp_path, SystemEntropy())
    with pytest.raises(LiftlockError):
        await restarted.verified(SHA256)


async def test_a_link_from_sha512_to_other_bytes_is_not_believed(tmp_path: Path) -> None:
    store = FileInputStore(tmp_path, SystemEntropy())
    await store.add(chunks(CONTENT), what="x", max_bytes=1 << 20, sha512=SHA512)
    other = await store.add(chunks(b"other"), what="y", max_bytes=1 << 20)
    assert await store.known_by_sha512(SHA512) == SHA256
    (tmp_path / "sha512" / SHA512).write_text(other.sha256)
    assert await FileInputStore(tmp_path, SystemEntropy()).known_by_sha512(SHA512) is None
