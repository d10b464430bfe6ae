"""The consent page: a program asks a person for credentials that act in his name.

The person sees who asks, where the answer goes, what would be granted and for how long, and sends a form of this site.
The browser goes to the program's registered address from a page, not by a redirect of the form: pages forbid forms that
lead elsewhere (`form-action 'self'`), and browsers hold redirects to that too.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlsplit

from liftlock.domain.credentials.third_party import Refusal, Unanswerable, Wish, with_query
from liftlock.errors import InputInvalidError, RefusedError
from liftlock.services.third_party_login import ThirdPartyLogin
from liftlock.web.pages.page import Answer, Go, Page, PageRequest, Raw, Shown

PATH = "/login/oauth/authorize"


def routes(third_parties: ThirdPartyLogin) -> list[Page]:
    """Return the consent page."""
    handle = _Handlers(third_parties)
    return [Page("GET", PATH, handle.ask), Page("POST", PATH, handle.decide)]


class _Handlers:
    def __init__(self, third_parties: ThirdPartyLogin) -> None:
        self._third_parties = third_parties

    async def ask(self, request: PageRequest) -> Answer:
        wish = self._wish(_once(request))
        if isinstance(wish, Raw):
            return wish
        if request.signed_in is None:
            return Go(f"/sign-in?next={quote(request.target, safe='')}")
        offer = self._third_parties.offer(request.caller, wish)
        return Shown(
            "third_party.html",
            {
                "party": wish.party.label,
                "goes_to": urlsplit(wish.redirect_uri).netloc,
                "given": list(offer.given),
                "withheld": list(offer.withheld),
                "lasts": wish.lasts,
                "asked": request.target.partition("?")[2],
            },
        )

    async def decide(self, request: PageRequest) -> Answer:
        wish = self._wish(_pairs(request.field("asked")))
        if isinstance(wish, Raw):
            raise InputInvalidError("Nothing was granted: what the program asked for was changed on the way.")
        if request.field("answer") != "grant":
            return _onwards(wish, [("error", "access_denied"), ("state", wish.state)])
        signed_in = request.signed_in
        if signed_in is None:
            raise RefusedError("You are not signed in any more. Sign in, and open the program again.")
        code = await self._third_parties.consent(request.caller, signed_in.session, wish, request.now)
        return _onwards(wish, [("code", code), ("state", wish.state)])

    def _wish(self, query: dict[str, str]) -> Wish | Raw:
        """Return the wish, or what answers a refused one; raises InputInvalidError if nobody else may be told."""
        match self._third_parties.read(query):
            case Unanswerable(message):
                raise InputInvalidError(f"Nothing was granted: {message}.")
            case Refusal(uri, state, error, message):
                said = [("error", error), ("error_description", message), ("state", state)]
                return _away(uri, said)
            case wish:
                return wish


def _once(request: PageRequest) -> dict[str, str]:
    return _pairs(request.target.partition("?")[2])


def _pairs(text: str) -> dict[str, str]:
    """Return query options; raises InputInvalidError if one stands twice: two readers could take different ones."""
    pairs = parse_qsl(text, keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InputInvalidError("Nothing was granted: an option of the request stands more than once.")
    return found


def _away(uri: str, said: list[tuple[str, str]]) -> Raw:
    return Raw(b"", "text/plain", 303, {"location": with_query(uri, said)})


def _onwards(wish: Wish, said: list[tuple[str, str]]) -> Shown:
    url = with_query(wish.redirect_uri, said)
    return Shown("third_party_go.html", {"party": wish.party.label, "url": url})
