"""A worker's own key: made by the worker, kept in its directory, certified through a channel to its pool's key.

The channel is a socket that the worker inherits: it sends its public key and gets a certificate, for who it is is known
at the other end. Implements `ports.signer.WorkerSigner`.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from liftlock.adapters.keys.private_files import read_private, replace_file
from liftlock.domain.provenance.certificates import RENEWED_BEFORE, WorkerCertificate, read_issued
from liftlock.domain.provenance.keys import UntrustedError, key_id
from liftlock.errors import MalformedPayloadError, StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.entropy import Entropy
from liftlock.ports.signer import UncertifiedError
from liftlock.values.json import decode_as

KEY_FILE: Final = "signing-key"
SEED_BYTES: Final = 32
ANSWER_S: Final = 10.0
MAX_CERTIFICATE_BYTES: Final = 16 << 10


class WorkerKey:
    """The key in `directory`; `channel` is the socket to who certifies it."""

    def __init__(self, private: Ed25519PrivateKey, channel: socket.socket, clock: Clock) -> None:
        self._private = private
        self._channel = channel
        self._clock = clock
        self._public = private.public_key().public_bytes_raw()
        self._held: tuple[WorkerCertificate, dict[str, Any]] | None = None
        self._asking = asyncio.Lock()
        channel.setblocking(False)

    @classmethod
    def open(cls, directory: Path, channel: socket.socket, clock: Clock, entropy: Entropy) -> WorkerKey:
        """Return the directory's key, made now if there is none; StorageError if its file is not private."""
        path = directory / KEY_FILE
        seed = read_private(path)
        if seed is None:
            seed = entropy.token_bytes(SEED_BYTES)
            replace_file(path, seed)
        if len(seed) != SEED_BYTES:
            raise StorageError(f"key file {path}: expected {SEED_BYTES} bytes, found {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed), channel, clock)

    @property
    def key_id(self) -> str:
        """Return the key's id."""
        return key_id(self._public)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`."""
        return self._private.sign(data)

    async def certificate(self) -> tuple[WorkerCertificate, dict[str, Any]]:
        """Return a valid certificate; see the port."""
        async with self._asking:
            now = self._clock.now()
            if self._held is None or self._held[0].not_after - now < RENEWED_BEFORE:
                try:
                    self._held = await self._ask()
                except (OSError, TimeoutError, UntrustedError, MalformedPayloadError) as error:
                    if self._held is None or not self._held[0].covers(now):
                        raise UncertifiedError(f"the pool's key gave no certificate: {error}") from error
            return self._held

    async def _ask(self) -> tuple[WorkerCertificate, dict[str, Any]]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(ANSWER_S):
            await loop.sock_sendall(self._channel, self._public)
            while True:
                answer = await loop.sock_recv(self._channel, MAX_CERTIFICATE_BYTES)
                if not answer:
                    raise UntrustedError("who certifies has gone")
                envelope = decode_as(answer, dict[str, Any], what="certificate")
                found = read_issued(envelope)
                # An answer that a predecessor asked for may still lie in the socket: it is for the same file's key,
                # or for one that is gone.
                if found.public_key == self._public and found.covers(self._clock.now()):
                    return found, envelope
