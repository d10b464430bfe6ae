"""Signed notes with a checkpoint in them: what the log says of itself, in a form that other tools read.

Source: C2SP signed-note (Ed25519) and tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from liftlock.domain.audit.tree import HASH_BYTES
from liftlock.errors import LiftlockError

MAX_NOTE_BYTES: Final = 64 << 10
MAX_SIGNATURES: Final = 16
_ED25519: Final = b"\x01"
_MARK: Final = "\u2014 "
_NAME = re.compile(r"[^\s+]{1,255}\Z")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)


class BadNoteError(LiftlockError):
    """What should be a key, a signed note or a checkpoint is none, or is not signed by the expected key."""

    code = "BadCheckpoint"


class Verifier(NamedTuple):
    """A public key under a name: `name+id+key`, as text."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that a signature line names the key by."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """Return the key in the form in which it is published."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


class Checkpoint(NamedTuple):
    """The log `origin` has `size` rows, and `root` is the hash of its tree."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def is_name(name: str) -> bool:
    """Tell whether `name` can name a key: no white space, no plus sign, at most 255 characters."""
    return _NAME.match(name) is not None


def parse_verifier(text: str) -> Verifier:
    """Return the key that `name+id+key` says; BadNoteError if it is none."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _base64(encoded)
    if not is_name(name) or raw is None or len(raw) != 33 or raw[:1] != _ED25519:
        raise BadNoteError(
            "audit key: expected NAME+ID+KEY of an Ed25519 key, as `liftlock audit key` shows it"
        )
    found = Verifier(name, raw[1:])
    if found.key_id.hex() != key_id.lower():
        raise BadNoteError(
            f"audit key {name}: its id is {found.key_id.hex()}, and the text says {key_id[:16]}"
        )
    return found


def sign(checkpoint: Checkpoint, verifier: Verifier, signer: Callable[[bytes], bytes]) -> str:
    """Return the signed note; `signer` makes the 64-byte signature of the key that `verifier` verifies."""
    signature = verifier.key_id + signer(checkpoint.body.encode())
    return f"{checkpoint.body}\n{_MARK}{verifier.name} {base64.b64encode(signature).decode()}\n"


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint in `note`, signed by `verifier`; further signatures (witnesses') are passed over.

    Raises:
        BadNoteError: the note is malformed, not signed by this key, or of a log with another name.
    """
    text, signatures = _split(note)
    found = _parse(text)
    if found.origin != verifier.name:
        raise BadNoteError(f"checkpoint: it is of the log {found.origin!r}, expected {verifier.name!r}")
    if not any(_verifies(verifier, text.encode(), raw) for raw in _of(verifier, signatures)):
        raise BadNoteError(
            f"checkpoint of size {found.size}: not signed by {verifier.name}+{verifier.key_id.hex()}"
        )
    return found


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > MAX_NOTE_BYTES:
        raise BadNoteError(f"checkpoint: expected at most {MAX_NOTE_BYTES} characters")
    text, found, lines = note.rpartition("\n\n")
    if not found or not lines.endswith("\n") or any(ord(c) < 32 and c != "\n" for c in note):
        raise BadNoteError("checkpoint: expected a signed note: text, an empty line, signature lines")
    signatures = [_signature(line) for line in lines[:-1].split("\n")]
    if len(signatures) > MAX_SIGNATURES:
        raise BadNoteError(f"checkpoint: expected at most {MAX_SIGNATURES} signatures")
    return text + "\n", signatures


def _signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    raw = _base64(encoded)
    if not line.startswith(_MARK) or not is_name(name) or raw is None or len(raw) < 5:
        raise BadNoteError("checkpoint: a signature line must be an em dash, a name and base64")
    return name, raw


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    root = _base64(lines[2]) if len(lines) >= 4 else None
    if root is None or len(root) != HASH_BYTES or not lines[0] or _SIZE.match(lines[1]) is None:
        raise BadNoteError("checkpoint: expected lines with the log's name, its size and the root in base64")
    return Checkpoint(lines[0], int(lines[1]), root)


def _of(verifier: Verifier, signatures: Iterable[tuple[str, bytes]]) -> list[bytes]:
    return [raw[4:] for name, raw in signatures if name == verifier.name and raw[:4] == verifier.key_id]


def _verifies(verifier: Verifier, text: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
