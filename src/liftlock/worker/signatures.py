"""Detached signatures of inputs, by keys that the pool's policy names: minisign here, OpenPGP by gpgv in a sandbox, Sigstore offline."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any, assert_never

from liftlock.domain.inputs import minisign
from liftlock.domain.inputs.policy import Key, PoolPolicy
from liftlock.domain.inputs.promises import MAX_SIGNATURE_CHARS, Signature
from liftlock.errors import InputValidationError, NotFoundError
from liftlock.ports.bundle_verifier import BundleTrust, BundleVerifier
from liftlock.ports.downloads import Downloader
from liftlock.ports.input_store import Blob, InputRejectedError
from liftlock.ports.sandbox import Bind, DataFile, Limits, Sandbox, SandboxSpec, Scratch
from liftlock.worker import inside

GPGV_S = 120.0
_MIB = 1 << 20
_VALID = b"[GNUPG:] VALIDSIG "


class Signatures:
    """Verifies for one run."""

    def __init__(
        self,
        policy: PoolPolicy,
        downloader: Downloader | None,
        sandbox: Sandbox,
        scratch: Scratch,
        bundles: BundleVerifier | None = None,
    ) -> None:
        self._bundles = bundles
        self._policy = policy
        self._downloader = downloader
        self._sandbox = sandbox
        self._scratch = scratch

    async def verify(self, blob: Blob, signature: Signature) -> dict[str, Any]:
        """Return what the manifest says of a signature that holds.

        Raises:
            InputRejectedError: it is not by that key, or not over these bytes.
            DownloadFailedError: it can't be had.
        """
        key = self._policy.keys.get(signature.key)
        if key is None:
            raise InputRejectedError(f"the pool's policy names no key {signature.key!r}")
        content = await self._content(signature)
        try:
            match signature.scheme:
                case "minisign":
                    said = await asyncio.to_thread(_minisign, key, content, blob)
                case "openpgp":
                    said = await self._openpgp(key, content, blob)
                case "sigstore":
                    said = await self._sigstore(key, content, blob)
                case _:
                    assert_never(signature.scheme)
        except InputValidationError as error:
            raise InputRejectedError(error.message) from error
        return {"scheme": signature.scheme, "key": signature.key} | said

    async def _content(self, signature: Signature) -> bytes:
        if signature.content is not None:
            return signature.content.encode()
        if self._downloader is None or signature.url is None:
            raise NotFoundError("this worker downloads nothing")
        async with self._downloader.open(signature.url, max_bytes=MAX_SIGNATURE_CHARS) as opened:
            return b"".join([chunk async for chunk in opened.chunks])

    async def _sigstore(self, key: Key, content: bytes, blob: Blob) -> dict[str, Any]:
        if self._bundles is None:
            raise NotFoundError("this worker verifies no Sigstore bundles")
        trust = BundleTrust(key.identity or "", key.issuer or "", key.public)
        return await asyncio.to_thread(self._bundles.verify, content, blob.sha256, trust)

    async def _openpgp(self, key: Key, content: bytes, blob: Blob) -> dict[str, Any]:
        spec = SandboxSpec(
            self._scratch,
            (
                "/usr/bin/gpgv",
                "--status-fd",
                "1",
                "--keyring",
                "/run/key.gpg",
                "/run/signature",
                "/inputs/signed",
            ),
            env={"HOME": "/tmp", "GNUPGHOME": "/tmp"},  # noqa: S108 -- inside the sandbox
            cwd="/",
            binds=(Bind(blob.path, "/inputs/signed"),),
            files=(DataFile("/run/key.gpg", _binary(key.public)), DataFile("/run/signature", content)),
            limits=Limits(memory_bytes=256 * _MIB, pids=16, cpu=1.0, file_bytes=_MIB, tmp_bytes=_MIB),
        )
        output, status = await inside.run(self._sandbox, spec, within_s=GPGV_S)
        valid = [line for line in output.splitlines() if line.startswith(_VALID)]
        if not status.ok or not valid:
            said = [line for line in output.splitlines() if not line.startswith(b"[GNUPG:]")]
            raise InputRejectedError(
                f"the OpenPGP signature does not hold: {b'; '.join(said)[-300:].decode('utf-8', 'replace')}"
            )
        fields = valid[0][len(_VALID) :].decode("ascii", "replace").split()
        return {"fingerprint": fields[0], "primaryFingerprint": fields[-1]}


def _minisign(key: Key, content: bytes, blob: Blob) -> dict[str, Any]:
    public = minisign.parse_key(key.public)
    signature = minisign.parse_signature(content.decode("utf-8", "replace"))
    if signature.prehashed:
        with Path(blob.path).open("rb") as file:
            signed = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=64)).digest()
    elif blob.size > minisign.MAX_LEGACY_BYTES:
        raise InputValidationError("a legacy minisign signature of so large a file; expected a prehashed one")
    else:
        signed = Path(blob.path).read_bytes()
    minisign.verify(public, signature, signed)
    return {"keyId": public.shown_id, "trustedComment": signature.comment}


def _binary(armoured: str) -> bytes:
    """Return the packets of an armoured key block, which is all that gpgv reads."""
    lines = armoured.strip().splitlines()
    if not lines or not lines[0].startswith("-----BEGIN PGP PUBLIC KEY BLOCK"):
        raise InputValidationError(
            "an OpenPGP key of the pool's policy: expected an armoured public key block"
        )
    start = lines.index("") + 1 if "" in lines else 1
    body = [line for line in lines[start:] if line and not line.startswith(("=", "-----"))]
    try:
        return base64.b64decode("".join(body), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputValidationError("an OpenPGP key of the pool's policy: expected base64") from error
