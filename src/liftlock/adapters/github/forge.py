"""Implements `ports.forge.Forge` by GitHub's REST API.

Comments carry a mark that is not shown, and checks liftlock's own id, so that what was done before an answer was lost is
found and not done again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import gidgethub
import httpx2
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from liftlock.adapters.github.credentials import InstallationTokens
from liftlock.adapters.github.transport import HttpxGitHub
from liftlock.domain.forge.settings import ForgeRepository
from liftlock.ports.clock import Clock
from liftlock.ports.forge import Check, ForgeUnavailableError, PullFacts

MAX_COMMENTS: Final = 300
"""Comments of a pull request that are looked through for one of ours, the newest first."""
_MAX_SUMMARY: Final = 60_000


class GitHubForge:
    """Acts as the app `app_id`."""

    def __init__(
        self, client: httpx2.AsyncClient, base_url: str, app_id: int, key: RSAPrivateKey, clock: Clock
    ) -> None:
        self._app_id = app_id
        self._api = HttpxGitHub(client, base_url.rstrip("/"))
        self._tokens = InstallationTokens(self._api, key, app_id, clock)

    async def pull(self, repository: ForgeRepository, number: int) -> PullFacts:
        async with self._acting(repository) as token:
            found = await self._api.getitem(f"{_repo(repository)}/pulls/{number}", oauth_token=token)
            head, base = found["head"], found["base"]
            return PullFacts(
                number=found["number"],
                is_open=found["state"] == "open",
                head_ref=head["ref"],
                head_revision=head["sha"],
                head_repository=None if head["repo"] is None else head["repo"]["id"],
                base_ref=base["ref"],
                base_repository=base["repo"]["id"],
                author=found["user"]["id"],
            )

    async def react(self, repository: ForgeRepository, comment: int) -> None:
        where = f"{_repo(repository)}/issues/comments/{comment}/reactions"
        async with self._acting(repository) as token:
            await self._api.post(where, data={"content": "eyes"}, oauth_token=token)

    async def comment(self, repository: ForgeRepository, number: int, text: str, mark: str) -> None:
        hidden = f"<!-- liftlock:{mark} -->"
        where = f"{_repo(repository)}/issues/{number}/comments"
        async with self._acting(repository) as token:
            if not await self._said(where, hidden, token):
                await self._api.post(where, data={"body": f"{text}\n\n{hidden}"}, oauth_token=token)

    async def check(self, repository: ForgeRepository, check: Check, run: int | None) -> int:
        where = f"{_repo(repository)}/check-runs"
        async with self._acting(repository) as token:
            number = run if run is not None else await self._own_check(repository, check, token)
            body = _body(check)
            if number is not None:
                await self._api.patch(f"{where}/{number}", data=body, oauth_token=token)
                return number
            made = await self._api.post(
                where, data=body | {"head_sha": check.head_revision}, oauth_token=token
            )
            return int(made["id"])

    async def _said(self, where: str, hidden: str, token: str) -> bool:
        """Tell whether a comment of this app's has the mark; other people's count for nothing."""
        seen = 0
        async for found in self._api.getiter(f"{where}?per_page=100", oauth_token=token):
            app = found.get("performed_via_github_app") or {}
            if app.get("id") == self._app_id and hidden in (found.get("body") or ""):
                return True
            seen += 1
            if seen >= MAX_COMMENTS:
                break
        return False

    async def _own_check(self, repository: ForgeRepository, check: Check, token: str) -> int | None:
        """Return the number of the check with this external id, made by this app on this revision; names say nothing."""
        where = f"{_repo(repository)}/commits/{check.head_revision}/check-runs"
        query = f"?app_id={self._app_id}&filter=all&per_page=100"
        async for found in self._api.getiter(where + query, iterable_key="check_runs", oauth_token=token):
            is_ours = found["app"] is not None and found["app"]["id"] == self._app_id
            same = (found["external_id"], found["head_sha"]) == (check.external_id, check.head_revision)
            if is_ours and same:
                return int(found["id"])
        return None

    @asynccontextmanager
    async def _acting(self, repository: ForgeRepository) -> AsyncIterator[str]:
        try:
            yield await self._tokens.of(repository.installation, repository.id)
        except gidgethub.HTTPException as error:
            if error.status_code == 401:
                self._tokens.forget(repository.installation, repository.id)
            raise ForgeUnavailableError(
                f"{repository.full_name}: HTTP {int(error.status_code)}: {str(error)[:200]}",
                again=_again(error),
            ) from error
        except (gidgethub.GitHubException, KeyError, TypeError, ValueError) as error:
            text = f"{repository.full_name}: the answer was not understood: {type(error).__name__}: {str(error)[:200]}"
            raise ForgeUnavailableError(text, again=True) from error


def _again(error: gidgethub.HTTPException) -> bool:
    """Tell whether the same request may succeed later: not one that is wrong, or about something that is gone."""
    return isinstance(error, gidgethub.GitHubBroken | gidgethub.RateLimitExceeded) or int(
        error.status_code
    ) in {
        401,
        403,
        408,
        409,
        429,
    }


def _repo(repository: ForgeRepository) -> str:
    return f"/repos/{repository.full_name}"


def _body(check: Check) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": check.name,
        "external_id": check.external_id,
        "status": check.status,
        "details_url": check.url,
        "output": {"title": check.title, "summary": check.summary[:_MAX_SUMMARY]},
    }
    return body if check.conclusion is None else body | {"conclusion": check.conclusion}
