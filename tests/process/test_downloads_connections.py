"""Connections of the downloader over real sockets: large bodies, encrypted ones, and servers that do not prove their name."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.client import HttpDownloader
from liftlock.ports.downloads import DownloadFailedError

pytestmark = pytest.mark.process
CONTENT = os.urandom(1 << 20) * 8 + b"end"


def certificate(directory: Path, name: x509.GeneralName) -> Path:
    """A certificate for `name` that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def serving(pem: Path | None = None) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that gives `CONTENT` for every request; its address, and the ports of who asked."""
    asked: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                asked.append(str(writer.get_extra_info("peername")))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(CONTENT) + CONTENT)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(answer(reader, writer))
        tasks.add(task)

    context = None
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    scheme = "http" if pem is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", asked
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the next turn of the loop


async def sha256(client: HttpDownloader, url: str) -> str:
    digest = hashlib.sha256()
    async with client.open(url, max_bytes=len(CONTENT)) as opened:
        async for chunk in opened.chunks:
            digest.update(chunk)
    return digest.hexdigest()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_large_bodies_come_whole_and_connections_are_used_again(
    tmp_path: Path, *, encrypted: bool
) -> None:
    pem = certificate(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))) if encrypted else None
    async with serving(pem) as (url, asked):
        trust = None if pem is None else ssl.create_default_context(cafile=str(pem))
        client = HttpDownloader(Addresses((url.split("/")[2],)), tls=trust)
        try:
            for _ in range(3):
                assert await sha256(client, url) == hashlib.sha256(CONTENT).hexdigest()
        finally:
            await client.close()
        assert len(asked) == 3
        assert len(set(asked)) == 1, "one connection served all"


async def test_a_server_that_nobody_vouches_for_or_that_has_another_name_is_not_asked(tmp_path: Path) -> None:
    pem = certificate(tmp_path, x509.DNSName("other.example"))
    async with serving(pem) as (url, asked):
        for trust in (None, ssl.create_default_context(cafile=str(pem))):
            client = HttpDownloader(Addresses((url.split("/")[2],)), tls=trust)
            try:
                with pytest.raises(DownloadFailedError, match="certificate verify failed"):
                    await sha256(client, url)
            finally:
                await client.close()
        assert asked == []


async def test_an_encrypted_sender_that_stalls_is_given_up(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # not a word of its own, not even of TLS
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = HttpDownloader(Addresses((place,)), stall_s=0.2, connect_s=0.2)
    try:
        with pytest.raises(DownloadFailedError, match=r"https://127\.0\.0\.1:[0-9]+/x: too slow"):
            await sha256(client, f"https://{place}/x")
    finally:
        await client.close()
        await asyncio.wait_for(ended.wait(), 10)
        server.close()
