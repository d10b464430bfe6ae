"""The forge service: where the forge sends its webhooks. They prove themselves by their signature over the raw body.

Source: docs/reference/github.md#webhooks
"""

from __future__ import annotations

from liftlock.domain.forge.happenings import MAX_BODY_BYTES
from liftlock.errors import TooLargeError
from liftlock.services.receive_webhook import ReceiveWebhook, WebhookHeaders
from liftlock.web.routing import ApiRequest, Reply, Route


def routes(receive: ReceiveWebhook) -> list[Route]:
    """Return the service's routes, but for `/ping` and its like."""

    async def webhook(request: ApiRequest) -> object:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise TooLargeError(f"body: expected at most {MAX_BODY_BYTES} bytes")
        headers = WebhookHeaders(
            event=request.headers.get("x-github-event", ""),
            delivery=request.headers.get("x-github-delivery", ""),
            signature=request.headers.get("x-hub-signature-256"),
            target=request.headers.get("x-github-hook-installation-target-id"),
        )
        return Reply(status=202, body={"result": await receive(headers, bytes(body), request.now)})

    return [
        Route(
            service="forge",
            method="POST",
            path="/github/webhook",
            name="githubWebhook",
            handler=webhook,
            title="Receive a webhook of GitHub",
            description=(
                "Not for clients: a webhook is believed by the HMAC of its body in `X-Hub-Signature-256`, once for each "
                "`X-GitHub-Delivery`. What follows from it is done afterwards."
            ),
            public_body="raw",
            authenticated=False,
        )
    ]
