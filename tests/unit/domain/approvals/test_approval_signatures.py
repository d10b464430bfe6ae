"""Signatures over approvals: what ssh-keygen, minisign and a passkey make counts, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import encode_cbor

from liftlock.domain.approvals.approval import challenge, check_reason, verify_approval
from liftlock.domain.approvals.people import Approver, parse_approvers
from liftlock.domain.approvals.sshsig import parse_ssh_key
from liftlock.errors import InputInvalidError, InputValidationError
from operation_builders import Signer, frozen, people


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_signature_of_ssh_keygen_counts_for_each_kind_of_key(tmp_path: Path, kind: str) -> None:
    morgan = Signer.make("morgan", tmp_path, kind)
    verified = verify_approval(morgan.say(frozen()), people(morgan)["morgan"], accept_sessions=False)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", morgan.key], capture_output=True, text=True, check=True)
    assert verified.key == shown.stdout.split()[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "reject"}, "is not over these bytes"),
        ({"digest": "0" * 64}, "is not over these bytes"),
        ({"reason": "something else"}, "is not over these bytes"),
        ({"operation_id": "another"}, "is not over these bytes"),
        ({"operation": "another"}, "is not over these bytes"),
        ({"approver": "alex"}, "is not over these bytes"),
        ({"proof": ""}, "expected text between"),
        ({"proof": "-----BEGIN SSH SIGNATURE-----\n!\n-----END SSH SIGNATURE-----"}, "expected base64"),
        ({"proof": "x" * 20_000}, "expected at most 16384 characters"),
        ({"method": "control-plane-attested"}, "counts signatures only"),
    ],
)
def test_a_signature_over_anything_else_does_not_count(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    morgan = Signer.make("morgan", tmp_path)
    said = msgspec.structs.replace(morgan.say(frozen()), **changes)
    with pytest.raises(InputValidationError, match=message):
        verify_approval(said, people(morgan)["morgan"], accept_sessions=False)


def test_a_signature_for_another_purpose_does_not_count(tmp_path: Path) -> None:
    morgan = Signer.make("morgan", tmp_path)
    said = morgan.say(frozen())
    other = msgspec.structs.replace(said, proof=morgan.sign(said.statement, "git"))
    with pytest.raises(InputValidationError, match="expected the namespace liftlock-approval"):
        verify_approval(other, people(morgan)["morgan"], accept_sessions=False)


def test_another_persons_signature_does_not_count(tmp_path: Path) -> None:
    morgan, mallory = (Signer.make(name, tmp_path) for name in ("morgan", "mallory"))
    said = morgan.say(frozen())
    forged = msgspec.structs.replace(said, proof=mallory.sign(said.statement))
    with pytest.raises(InputValidationError, match="by another key"):
        verify_approval(forged, people(morgan)["morgan"], accept_sessions=False)


def test_a_cut_signature_is_an_error_and_no_crash(tmp_path: Path) -> None:
    morgan = Signer.make("morgan", tmp_path)
    said = morgan.say(frozen())
    body = "".join(said.proof.splitlines()[1:-1])
    raw = base64.b64decode(body)
    for length in range(0, len(raw), 7):
        cut = base64.b64encode(raw[:length]).decode()
        armored = f"-----BEGIN SSH SIGNATURE-----\n{cut}\n-----END SSH SIGNATURE-----\n"
        with pytest.raises(InputValidationError):
            verify_approval(
                msgspec.structs.replace(said, proof=armored), people(morgan)["morgan"], accept_sessions=False
            )


def test_a_mere_session_counts_where_the_operation_says_so(tmp_path: Path) -> None:
    morgan = Signer.make("morgan", tmp_path)
    said = morgan.say(frozen(), method="control-plane-attested", proof="")
    assert (
        verify_approval(said, people(morgan)["morgan"], accept_sessions=True).key == "control-plane-attested"
    )


def test_a_signature_of_minisign_counts(tmp_path: Path) -> None:
    public, secret, text = tmp_path / "k.pub", tmp_path / "k.key", tmp_path / "statement"
    subprocess.run(["minisign", "-G", "-W", "-p", public, "-s", secret], check=True, capture_output=True)
    person = parse_approvers(
        {
            "morgan": {
                "clients": ["people/morgan"],
                "operations": ["*"],
                "keys": {"minisign": [public.read_text().splitlines()[1]]},
            }
        }
    )["morgan"]
    said = Signer.make("morgan", tmp_path).say(frozen(), method="minisign")
    text.write_bytes(said.statement)
    subprocess.run(["minisign", "-S", "-s", secret, "-m", text], check=True, capture_output=True)
    proof = Path(f"{text}.minisig").read_text()
    assert verify_approval(msgspec.structs.replace(said, proof=proof), person, accept_sessions=False).key
    with pytest.raises(InputValidationError, match="is not over these bytes"):
        verify_approval(
            msgspec.structs.replace(said, proof=proof, reason="no"), person, accept_sessions=False
        )


class Authenticator:
    """A passkey as a browser would have it: P-256, made here, for one site."""

    def __init__(self, rp_id: str = "liftlock.example", origin: str = "https://liftlock.example") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.rp_id, self.origin = rp_id, origin
        self.id = url_base64(b"credential-1")

    def entry(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        return {
            "credentialId": self.id,
            "publicKey": url_base64(encode_cbor(cose)),
            "rpId": self.rp_id,
            "origin": self.origin,
        }

    def sign(self, challenge: bytes, *, flags: int = 0x05, origin: str | None = None) -> str:
        """Return the assertion; flags 0x05: the user was present and verified."""
        client = json.dumps(
            {"type": "webauthn.get", "challenge": url_base64(challenge), "origin": origin or self.origin}
        ).encode()
        data = hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + (1).to_bytes(4, "big")
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return json.dumps(
            {
                "id": self.id,
                "rawId": self.id,
                "type": "public-key",
                "response": {
                    "clientDataJSON": url_base64(client),
                    "authenticatorData": url_base64(data),
                    "signature": url_base64(signature),
                },
            }
        )


def url_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def keeper_of(passkey: Authenticator) -> Approver:
    given = {"clients": ["people/morgan"], "operations": ["*"], "keys": {"webauthn": [passkey.entry()]}}
    return parse_approvers({"morgan": given})["morgan"]


def test_an_assertion_of_a_passkey_counts(tmp_path: Path) -> None:
    passkey = Authenticator()
    said = Signer.make("morgan", tmp_path).say(frozen(), method="webauthn")
    signed = msgspec.structs.replace(said, proof=passkey.sign(challenge(said.statement)))
    assert verify_approval(signed, keeper_of(passkey), accept_sessions=False).key == passkey.id


def test_an_assertion_for_anything_else_does_not_count(tmp_path: Path) -> None:
    passkey = Authenticator()
    said = Signer.make("morgan", tmp_path).say(frozen(), method="webauthn")
    right = challenge(said.statement)
    for proof in (
        passkey.sign(hashlib.sha256(b"another").digest()),
        passkey.sign(right, flags=0x01),  # not verified: the device was touched by whoever holds it
        passkey.sign(right, origin="https://evil.example"),
        Authenticator().sign(right),
        "[]",
        "{",
        "{}",
        json.dumps({"id": passkey.id}),
    ):
        with pytest.raises(InputValidationError, match=r"^(signature|a passkey)"):
            verify_approval(
                msgspec.structs.replace(said, proof=proof), keeper_of(passkey), accept_sessions=False
            )


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501, "hidden\u202eback"])
def test_a_reason_is_one_plain_line(reason: str) -> None:
    with pytest.raises(InputValidationError, match="expected one line of 1 to 500 characters that says why"):
        check_reason(reason)


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 !!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5", "ssh-dss AAAAB3NzaC1kc3M="]
)
def test_what_is_no_ssh_key_is_refused(line: str) -> None:
    with pytest.raises(InputValidationError, match="an SSH public key"):
        parse_ssh_key(line)


def test_a_key_is_one_persons(tmp_path: Path) -> None:
    entry = Signer.make("morgan", tmp_path).person()
    with pytest.raises(InputInvalidError, match="morgan and alex have the same key"):
        parse_approvers({"morgan": entry, "alex": entry | {"clients": ["people/alex"]}})
