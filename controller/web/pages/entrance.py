"""Who looks at a page, and whether a form was sent by them: sign-in, cookies, protection against forgery.

A form is taken when it carries its session's token, and when the browser says that the page
it stood on is one of ours (`Sec-Fetch-Site`, `Origin`). The cookie is `SameSite=Strict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from time import monotonic
from typing import Any

from flask import Response, request

from controller.tokens import Role, Tokens
from controller.web.callers import ANONYMOUS, check_host
from controller.web.pages.attempts import Attempts
from controller.web.pages.front import Front, Person
from controller.web.pages.session import LASTS, Session, Sessions
from controller.web.problems import Refused

_DOOR = "door:"  # the subject of who has not signed in yet: for the form that does it
_MOST = 512  # characters of a token


class SignIn(Exception):
    """Nobody is signed in who may see this."""


class Onward(Exception):
    """A link of another site was followed: the browser keeps the cookie back until one of our own pages asks."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks, and their session; `fresh`: its cookie is still to be set."""

    person: Person
    session: Session
    fresh: bool

    def may(self, role: Role) -> bool:
        return role in self.person.roles


class Entrance:
    """Answers who visits, for the request at hand."""

    def __init__(
        self,
        front: Front,
        sessions: Sessions,
        tokens: Tokens | None,
        clock: Callable[[], datetime],
        *,
        insecure: bool,
        tick: Callable[[], float] = monotonic,
    ) -> None:
        self.front = front
        self._sessions = sessions
        self._tokens = tokens
        self._clock = clock
        self._insecure = insecure
        self._tick = tick
        self._attempts = Attempts()

    def visitor(self, role: Role) -> Visitor:
        """Who visits. Raises SignIn, Onward, and Refused for who may not."""
        session = self._session(self._cookie)
        if session is None and _followed():
            raise Onward
        visitor = self._known(session)
        if not visitor.may(role):
            raise Refused(403, f"{visitor.person.name} lacks the role {role}")
        return visitor

    def at_the_door(self) -> tuple[Session, bool]:
        """The session of who is about to sign in; True: its cookie is still to be set."""
        session = self._session(self._door_cookie)
        if session is not None and session.subject == _DOOR:
            return session, False
        return self._sessions.open(_DOOR, self._clock()), True

    @property
    def has_door(self) -> bool:
        """Whether people sign in here, by a token."""
        return self._tokens is not None and not (self.front.signs_in and self.front.trusted(request))

    def sign_in(self, secret: str) -> Session:
        """The session of this token's bearer. Raises Refused for a token that is none: 403, 429.

        A right token is never held up: people share addresses, and none may shut the others out.
        """
        assert self._tokens is not None
        token = self._tokens.bearer(secret.strip(), self._clock()) if 0 < len(secret) <= _MOST else None
        if token is not None and token.may(Role.READ):
            return self._sessions.open(self._sessions.of_token(token.digest), self._clock())
        address = self.front.address(request)
        wait = self._attempts.wait(address, self._tick())
        if wait:
            after = {"Retry-After": str(int(wait) + 1)}
            raise Refused(429, f"too many failed attempts: try again in {int(wait) + 1} seconds", headers=after)
        self._attempts.failed(address, self._tick())
        raise Refused(403, "the token is not known, has expired, or may not read")

    def check_form(self, session: Session) -> None:
        """Raises Refused, 403, for a form that was not sent from a page of this session."""
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site not in (None, "same-origin") or origin == "null":
            raise Refused(403, "the form was sent from a page of another site")
        if origin is not None and not self.front.ours(request, origin):
            sent = f"the form was sent from a page of another site: {origin}, and we are reached as {request.host}"
            raise Refused(
                403, f"{sent}; if both are this server, set `publicUrl`, or have the proxy keep the header Host"
            )
        if not self._sessions.fits(session, request.form.get("form", "")):
            raise Refused(403, "this form is no longer good: open the page again, and decide there")

    def form_token(self, session: Session) -> str:
        return self._sessions.form_token(session)

    def remember(self, answer: Response, session: Session) -> Response:
        """Have the browser keep the session."""
        name = self._door_cookie if session.subject == _DOOR else self._cookie
        answer.set_cookie(name, self._sessions.cookie(session), max_age=LASTS, **self._bounds())
        return answer

    def enter(self, answer: Response, session: Session) -> Response:
        """Have the browser keep the session of who has signed in, and drop that of the door."""
        answer.delete_cookie(self._door_cookie, **self._bounds())
        return self.remember(answer, session)

    def forget(self, answer: Response) -> Response:
        """Have the browser drop the session."""
        answer.delete_cookie(self._cookie, **self._bounds())
        return answer

    def _bounds(self) -> dict[str, Any]:
        path = self.front.prefix(request) + "/"
        return {"path": path, "httponly": True, "samesite": "Strict", "secure": self.front.https(request)}

    @property
    def _cookie(self) -> str:
        """Its name; a browser takes the prefixed ones over TLS only, and from no other host."""
        if not self.front.https(request):
            return "modelmend"
        return "__Secure-modelmend" if self.front.prefix(request) else "__Host-modelmend"

    @property
    def _door_cookie(self) -> str:
        """That of who is about to sign in: a second door opened beside a session does not end it."""
        return f"{self._cookie}-door"

    def _session(self, name: str) -> Session | None:
        cookie = request.cookies.get(name)
        return self._sessions.read(cookie, self._clock()) if cookie else None

    def _known(self, session: Session | None) -> Visitor:
        person = self.front.person(request)
        if person is None and self._tokens is not None:
            return self._by_token(session)
        if person is None:
            if self.front.signs_in:
                raise Refused(403, "pages are shown through the proxy only")
            check_host(insecure=self._insecure)
            person = Person(ANONYMOUS, "nobody:", frozenset(Role))
        if session is not None and session.subject == person.subject:
            return Visitor(person, session, fresh=False)
        return Visitor(person, self._sessions.open(person.subject, self._clock()), fresh=True)

    def _by_token(self, session: Session | None) -> Visitor:
        assert self._tokens is not None
        for token in self._tokens.valid(self._clock()) if session is not None else ():
            assert session is not None
            subject = self._sessions.of_token(token.digest)
            if compare_digest(subject.encode(), session.subject.encode()) and token.may(Role.READ):
                return Visitor(Person(token.name, subject, token.granted), session, fresh=False)
        raise SignIn


def _followed() -> bool:
    """Whether a browser came here by a link of another site."""
    elsewhere = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    return elsewhere and request.method in ("GET", "HEAD")
