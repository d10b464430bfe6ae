"""Checkpoints are signed notes that other tools read; what is not signed by the log's key counts for nothing."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from liftlock.domain.audit.note import (
    BadNoteError,
    Checkpoint,
    Verifier,
    open_checkpoint,
    parse_verifier,
    sign,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = Verifier("example.org/audit", PRIVATE.public_key().public_bytes_raw())
CHECKPOINT = Checkpoint("example.org/audit", 7, b"\x07" * 32)
NOTE = sign(CHECKPOINT, KEY, PRIVATE.sign)

# From the specification of signed notes: a key, and a note that it signed.
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_signed_checkpoint_is_read_back() -> None:
    assert open_checkpoint(NOTE, KEY) == CHECKPOINT
    assert NOTE.startswith("example.org/audit\n7\n" + base64.b64encode(b"\x07" * 32).decode() + "\n\n\u2014 ")


def test_a_key_is_written_as_others_write_it() -> None:
    assert parse_verifier(KEY.text) == KEY
    found = parse_verifier(PUBLISHED_KEY)
    assert (found.name, found.text) == ("PeterNeumann", PUBLISHED_KEY)


def test_a_published_note_verifies_up_to_its_text_being_no_checkpoint() -> None:
    text, _, signature = PUBLISHED_NOTE.rpartition("\n\n")
    raw = base64.b64decode(signature.split(" ")[2])
    found = parse_verifier(PUBLISHED_KEY)
    assert raw[:4] == found.key_id
    Ed25519PublicKey.from_public_bytes(found.public).verify(raw[4:], (text + "\n").encode())
    with pytest.raises(
        BadNoteError, match="expected lines with the log's name, its size and the root in base64"
    ):
        open_checkpoint(PUBLISHED_NOTE, found)


def test_a_witness_may_add_its_signature() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    witness = Verifier("witness.example", other.public_key().public_bytes_raw())
    line = sign(CHECKPOINT, witness, other.sign).rpartition("\n\n")[2]
    assert open_checkpoint(NOTE + line, KEY) == CHECKPOINT


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("", "expected a signed note"),
        (NOTE[:-1], "expected a signed note"),
        (NOTE.replace("\n\n", "\n"), "expected a signed note"),
        (NOTE.replace("\n7\n", "\n8\n"), "checkpoint of size 8: not signed by example.org/audit+"),
        (NOTE.replace("\n7\n", "\n07\n"), "expected lines with the log's name, its size and the root"),
        (NOTE.replace("\u2014", "-"), "a signature line must be an em dash, a name and base64"),
        (NOTE.replace("example.org/audit\n", "example.net/audit\n"), "it is of the log 'example.net/audit'"),
        (NOTE + "\u2014 x AAAAAAAA\n" * 16, "expected at most 16 signatures"),
        ("a" * 70_000, "expected at most 65536 characters"),
        (NOTE.replace("\n7\n", "\n7\r\n"), "expected a signed note"),
    ],
)
def test_a_bad_note_is_refused_with_what_is_wrong(note: str, said: str) -> None:
    with pytest.raises(BadNoteError) as refused:
        open_checkpoint(note, KEY)
    assert said in refused.value.message


def test_another_key_of_the_same_name_does_not_count() -> None:
    forger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = sign(CHECKPOINT, Verifier(KEY.name, forger.public_key().public_bytes_raw()), forger.sign)
    with pytest.raises(BadNoteError, match="not signed by"):
        open_checkpoint(forged, KEY)
    lied = forged.replace(forged.split(" ")[-1], base64.b64encode(KEY.key_id + bytes(64)).decode() + "\n")
    with pytest.raises(BadNoteError, match="not signed by"):
        open_checkpoint(lied, KEY)


@pytest.mark.parametrize(
    "text", ["", "a+b", "a b+00000000+AAAA", KEY.text.replace("+A", "+B"), KEY.text + "A"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadNoteError, match=r"expected NAME\+ID\+KEY"):
        parse_verifier(text)


def test_a_key_under_another_id_is_refused() -> None:
    with pytest.raises(BadNoteError, match="and the text says 00000000"):
        parse_verifier(KEY.text.replace(KEY.key_id.hex(), "00000000"))
