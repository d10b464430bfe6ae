"""The provenance service: the keys by which anybody can verify what workers signed."""

from __future__ import annotations

import msgspec

from liftlock.ports.trusted_keys import TrustedKeys
from liftlock.web.routing import ApiRequest, Route


def routes(keys: TrustedKeys) -> list[Route]:
    """Return the service's routes, but for `/ping` and its like."""

    async def published(request: ApiRequest) -> object:
        return msgspec.to_builtins(keys.published())

    return [
        Route(
            service="provenance",
            method="GET",
            path="/keys",
            name="keys",
            handler=published,
            title="Get the published keys of pools, the certificates of workers, and revocations",
            description="Public: whoever verifies offline keeps a copy, obtained in a way that they trust.",
        )
    ]
