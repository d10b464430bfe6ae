"""An identity provider on the loopback, for tests: OpenID Connect, and OAuth2 of GitHub's kind. It can be told to lie.

It checks what a real one checks: redirect address, client secret, PKCE, and that a code is used once.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

CLIENT, SECRET = "liftlock-test", "secret-of-the-test"


@dataclass(slots=True)
class StandIn:
    """The provider: who is signed in there now, and how it lies."""

    url: str = ""
    subject: str = "subject-1"
    email: str = "alice@example.com"
    groups: list[Any] = field(default_factory=lambda: ["developers"])
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1", "use": "sig"}))
    sign: Callable[[StandIn, dict[str, Any]], str] | None = None
    """Makes the id token of the claims instead."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims that differ from the honest ones."""
    answer_from: str | None = None
    """The `iss` that its answers say."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    teams: list[tuple[str, str]] = field(default_factory=lambda: [("mozilla", "releng")])
    more: dict[str, Any] = field(default_factory=dict)
    """What its discovery document says besides, or otherwise."""
    instead: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """Path → status, headers and body that it answers instead."""
    proofs: list[str] = field(default_factory=list)
    """How programs proved themselves: `form` or `basic`."""
    asked_for: list[str] = field(default_factory=list)
    """All paths, in order."""

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            **self.more,
        }

    def code_for(self, redirect_uri: str, nonce: str, verifier: str) -> str:
        """Return a code as if a browser had been here."""
        query = {"redirect_uri": redirect_uri, "nonce": nonce, "state": "s"}
        query["code_challenge"] = create_s256_code_challenge(verifier)
        self.authorize(query)
        return list(self.codes)[-1]

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes: back, with a code for who is signed in."""
        self.asked.append(query)
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        said = {"code": code, "state": query["state"]}
        if self.answer_from is not None:
            said["iss"] = self.answer_from
        return f"{query['redirect_uri']}?{urlencode(said)}"

    def token(self, form: dict[str, str], basic: str) -> tuple[int, dict[str, Any]]:
        known = self.codes.pop(form.get("code", ""), None)
        client, secret = form.get("client_id"), form.get("client_secret")
        self.proofs.append("basic" if basic else "form")
        if basic:
            client, _, secret = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
        if (client, secret) != (CLIENT, SECRET) or known is None:
            return 400, {"error": "invalid_grant"}
        if create_s256_code_challenge(form.get("code_verifier", "")) != known["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        if form.get("redirect_uri") != known["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": self.subject,
            "email": self.email,
            "groups": self.groups,
            "iat": now,
            "exp": now + 300,
            "nonce": known.get("nonce", ""),
            **self.claims,
        }
        signed = self.sign(self, claims) if self.sign else self.honest(claims)
        return 200, {"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": signed}

    def honest(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, self.key)

    def by_hmac_of_public_key(self, claims: dict[str, Any]) -> str:
        public = self.key.as_pem(private=False)
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(base64.b64encode(public)))

    def unsigned(self, claims: dict[str, Any]) -> str:
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in ({"alg": "none"}, claims)
        ]
        return ".".join([*parts, ""])


def _own_certificate() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.public_bytes(Encoding.PEM))
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        context.load_cert_chain(file.name)
    return context


class _Handler(BaseHTTPRequestHandler):
    made: ClassVar[StandIn]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.made.asked_for.append(parts.path)
        known = self.headers["authorization"] == "Bearer at"
        if parts.path in self.made.instead:
            self._raw(*self.made.instead[parts.path])
        elif parts.path in ("/authorize", "/login/oauth/authorize"):
            back = self.made.authorize(dict(parse_qsl(parts.query)))
            self._raw(302, {"location": back}, b"")
        elif parts.path.startswith("/api/") and not known:
            self._json(401, {})
        else:
            self._json(*self._document(parts.path))

    def _document(self, path: str) -> tuple[int, Any]:
        made = self.made
        teams = [{"slug": slug, "organization": {"login": org}} for org, slug in made.teams]
        documents = {
            "/.well-known/openid-configuration": made.discovery(),
            "/keys": {"keys": [made.key.as_dict(private=False)]},
            "/api/user": {"id": 4711, "login": made.email},
            "/api/user/teams": teams,
        }
        return (200, documents[path]) if path in documents else (404, {})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        self.made.asked_for.append(self.path)
        if self.path in self.made.instead:
            self._raw(*self.made.instead[self.path])
        else:
            self._json(*self.made.token(dict(parse_qsl(raw.decode())), self.headers.get("authorization", "")))

    def _json(self, status: int, value: Any) -> None:
        self._raw(status, {}, json.dumps(value).encode())

    def _raw(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, said in {"content-type": "application/json", **headers}.items():
            self.send_header(name, said)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        return


@contextmanager
def provider(*, tls: bool = False) -> Iterator[StandIn]:
    """Yield a provider that answers; with `tls` by a certificate that nobody vouches for."""
    made = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"made": made}))
    server.daemon_threads = True
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    if tls:
        server.socket = _own_certificate().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
