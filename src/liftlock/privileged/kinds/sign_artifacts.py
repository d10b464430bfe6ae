"""`sign-artifacts`: each file that crossed gets a minisign signature, by a key that only this worker can open.

Source: docs/reference/operations.md#sign-artifacts
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from liftlock.domain.inputs.minisign import MinisignKey, parse_key, parse_signature, verify
from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.minisign_signing import SigningKey, parse_secret_key
from liftlock.errors import InputValidationError
from liftlock.ports.confined_parser import Parsing
from liftlock.privileged.performing import (
    Performed,
    PerformRefusedError,
    Tools,
    Work,
    WrongSettingsError,
    expect_secret,
    settings_as,
)

SECRET: Final = "key"  # noqa: S105 -- the name of a secret
FOLDER: Final = "public/signatures"
"""Where the signatures are, as artifacts of stage 2."""
SUMS: Final = "SHA256SUMS"


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`publicKey`: the key that signs, as people verify with it; a secret that is another's signs nothing."""

    public_key: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class SignArtifacts:
    """Implements `performing.PrivilegedOperation`."""

    kind = "sign-artifacts"
    parsings: Mapping[str, Parsing] = {}

    def check(self, operation: Operation) -> None:
        """Return if the public key is one and there is a secret; see the protocol."""
        _public(operation)
        expect_secret(operation, SECRET)

    async def perform(self, work: Work, tools: Tools) -> Performed:
        """Sign every file and the list of their digests; see the protocol. The same request makes the same signatures."""
        expected = _public(work.operation)
        if not work.files:
            raise PerformRefusedError("no file crossed: there is nothing to sign", rule="files")
        if SUMS in work.files:
            raise PerformRefusedError(f"{SUMS}: that name is for the list that is signed", rule="names")
        key = parse_secret_key(work.secret(SECRET).reveal())
        if key.public != expected:
            raise PerformRefusedError(
                f"the secret is the key {key.public.shown_id}, and the configuration says {expected.shown_id}",
                rule="key",
            )
        sums = "".join(f"{_sha256(work.files[path])}  {path}\n" for path in sorted(work.files)).encode()
        made = {SUMS: sums}
        for path, content in sorted({**work.files, SUMS: sums}.items()):
            made[f"{path}.minisig"] = _signed(key, expected, path, content, work).encode()
            work.note(f"{path}: signed, sha256 {_sha256(content)}")
        return Performed(
            f"signed {len(work.files)} files of revision {work.request.revision} by the key {expected.shown_id}",
            {
                "key": expected.shown_id,
                "signed": {path: _sha256(work.files[path]) for path in sorted(work.files)},
            },
            {f"{FOLDER}/{path}": content for path, content in made.items()},
        )


def _signed(key: SigningKey, expected: MinisignKey, path: str, content: bytes, work: Work) -> str:
    """Return the signature file, verified as others will verify it."""
    request = work.request
    comment = (
        f"file:{path} sha256:{_sha256(content)} project:{request.identity} revision:{request.revision}"
        f" request:sha256:{request.digest}"
    )
    text = key.sign(content, path.rpartition("/")[2], comment)
    verify(expected, parse_signature(text), hashlib.blake2b(content, digest_size=64).digest())
    return text


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _public(operation: Operation) -> MinisignKey:
    told = settings_as(operation, _Settings)
    try:
        return parse_key(told.public_key)
    except InputValidationError as error:
        raise WrongSettingsError(
            f"operations.{operation.name}.stage2.settings.publicKey: {error.message}"
        ) from error
