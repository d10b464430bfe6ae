"""The demo's GitHub App, without a GitHub: its settings, its secret, and webhooks as GitHub would send them."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from liftlock.processes.demo.grants import PROJECT

APP: Final = 4711
INSTALLATION: Final = 99
REPOSITORY: Final = 1296269
SENDER: Final = "bots/nightly"
EVENT: Final = "nightly"
HOOK: Final = ("project-demo", "nightly")
SECRET: Final = "the webhook's secret of the demo"  # noqa: S105 -- of an app that there is not
NOBODY_ANSWERS: Final = "http://127.0.0.1:9"
_FILE: Final = f"""\
[github]
app-id = {APP}
webhook-secret-file = "webhook-secret"
private-key-file = "app.pem"
api = "{NOBODY_ANSWERS}"

[[github.repository]]
id = {REPOSITORY}
full-name = "liftlock-demo/widget"
installation = {INSTALLATION}
project = "{PROJECT}"

[[event]]
type = "{EVENT}"
senders = ["{SENDER}"]
hook = "{"/".join(HOOK)}"
"""


def write_settings(folder: Path) -> Path:
    """Write the integrations file and what it names into `folder`; return its path."""
    folder.mkdir()
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "app.pem").write_bytes(pem)
    (folder / "webhook-secret").write_text(SECRET)
    path = folder / "integrations.toml"
    path.write_text(_FILE)
    return path


def webhook(root_url: str, event: str, payload: dict[str, Any], delivery: str, secret: str = SECRET) -> int:
    """Send a webhook, signed with `secret`; return the status that liftlock answers."""
    everywhere = {
        "sender": {"id": 1, "login": "robin"},
        "repository": {"id": REPOSITORY, "full_name": "liftlock-demo/widget"},
        "installation": {"id": INSTALLATION},
    }
    body = json.dumps(everywhere | payload).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": signature,
    }
    url = f"{root_url}/api/forge/v1/github/webhook"
    return httpx2.post(url, content=body, headers=headers, trust_env=False).status_code
