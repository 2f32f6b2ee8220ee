"""The pages for people: what awaits an answer, and one remediation with its buttons.

Plain HTML from the server, without a script. GET and HEAD show and change nothing, since
scanners of chats and mail open every link; a POST by a signed-in person decides, and is
answered with a redirect to the page. They read and act through `api.Api`, as programs do.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from typing import Any

from flask import Flask, Response, request
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ValidationError

from controller.remediation import Phase
from controller.settings import ProxyAuth
from controller.tokens import Role, Tokens
from controller.web import bodies
from controller.web.api import Api
from controller.web.callers import By
from controller.web.pages import shown
from controller.web.pages.entrance import Entrance, Onward, SignIn, Visitor
from controller.web.pages.front import Front
from controller.web.pages.session import Sessions
from controller.web.problems import Refused, refusal_of

__all__ = ["PageSettings", "add_pages"]

log = logging.getLogger(__name__)

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with no-referrer a browser hides the origin of our own forms, too
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Cookie",
}
_OWN = re.compile(r"/(remediations/r-[a-z2-7]{12}(/explain)?)?")
_LISTED = 100
_BODIES: dict[str, type[BaseModel]] = {
    "approve": bodies.ApproveBody,
    "reject": bodies.RejectBody,
    "cancel": bodies.WhyBody,
    "retry": bodies.CommentBody,
}


@dataclass(frozen=True, slots=True)
class PageSettings:
    """The settings `publicUrl` and `proxyAuth`, and the key that signs cookies (empty: one for this process)."""

    public_url: str | None = None
    proxy: ProxyAuth | None = None
    key: bytes = field(default=b"", repr=False)


def add_pages(
    app: Flask,
    settings: PageSettings,
    api: Api,
    tokens: Tokens | None,
    clock: Callable[[], datetime],
    *,
    insecure: bool,
) -> None:
    """Give the app its pages."""
    front = Front(settings.public_url, settings.proxy)
    sessions = Sessions(settings.key or Sessions.new_key())
    pages = _Pages(Entrance(front, sessions, tokens, clock, insecure=insecure), api)
    for path, methods, view in (
        ("/", ["GET"], pages.waiting),
        ("/remediations/<id>", ["GET"], pages.remediation),
        ("/remediations/<id>/explain", ["GET"], pages.explain),
        ("/remediations/<id>/<act>", ["POST"], pages.act),
        ("/remediations/<id>/<act>", ["GET"], pages.acted),
        ("/sign-in", ["GET"], pages.door),
        ("/sign-in", ["POST"], pages.sign_in),
        ("/sign-out", ["POST"], pages.sign_out),
    ):
        app.add_url_rule(path, f"page_{view.__name__}", pages.safely(view), methods=methods)
    css = files(__package__).joinpath("page.css").read_bytes()

    @app.get("/page.css", endpoint="page_style")
    def style() -> Response:
        return Response(css, content_type="text/css; charset=utf-8", headers={"Cache-Control": "max-age=300"})


class _Pages:
    """One method for each page; each returns the response to the request at hand."""

    def __init__(self, entrance: Entrance, api: Api) -> None:
        self._entrance = entrance
        self._api = api
        self._templates = Environment(
            loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.filters |= {"visible": shown.visible, "moment": _moment}

    def safely(self, view: Callable[..., Response]) -> Callable[..., Response]:
        """The view, of which every refusal is a page, too."""

        def answer(**path: str) -> Response:
            try:
                page = view(**path)
            except SignIn:
                asked = f"?next={request.path}" if _OWN.fullmatch(request.path) and request.path != "/" else ""
                page = self._to(f"/sign-in{asked}")
            except Onward:
                page = self._page("onward.html", 200, None, here=self._entrance.front.prefix(request) + request.path)
            except Exception as error:
                refusal = refusal_of(error)
                if refusal.status == 500:
                    log.exception("a page failed", extra={"path": request.path})
                page = self._refusal(refusal)
            page.headers.update(SECURITY)
            return page

        return answer

    # ── looking ─────────────────────────────────────────────────────────────────────────────────

    def waiting(self) -> Response:
        visitor = self._entrance.visitor(Role.READ)
        awaiting = self._api.remediations(bodies.RemediationsQuery(phase=Phase.AWAITING_APPROVAL, limit=_LISTED))
        others = self._api.remediations(bodies.RemediationsQuery(active=True, limit=_LISTED))["items"]
        return self._page(
            "waiting.html",
            200,
            visitor,
            more=bool(awaiting["next"]),
            awaiting=awaiting["items"],
            active=[found for found in others if found["phase"] != Phase.AWAITING_APPROVAL],
        )

    def remediation(self, id: str) -> Response:  # noqa: A002 — the path's word
        return self._show(self._entrance.visitor(Role.READ), id)

    def explain(self, id: str) -> Response:  # noqa: A002 — likewise
        visitor = self._entrance.visitor(Role.READ)
        explanation = self._api.explained(id)
        return self._page("explain.html", 200, visitor, id=id, lines=[shown.visible(x) for x in explanation.lines])

    def _show(self, visitor: Visitor, id: str, *, status: int = 200, said: str = "", comment: str = "") -> Response:  # noqa: A002
        found = self._api.remediation(id)
        ladder = shown.rungs(found)
        event, decision, conditions = self._api.told_with(found)
        return self._page(
            "remediation.html",
            status,
            visitor,
            said=said,
            comment=comment,
            r=found,
            rungs=ladder,
            here=next((rung for rung in ladder if rung.here), None),
            facts=shown.facts(event, decision),
            conditions=conditions,
            history=shown.history(self._api.explained(id)),
            choices=shown.choices(found) if visitor.may(Role.OPERATE) else (),
            mayDecide=visitor.may(Role.OPERATE),
        )

    # ── deciding ────────────────────────────────────────────────────────────────────────────────

    def act(self, id: str, act: str) -> Response:  # noqa: A002 — likewise
        if act not in _BODIES:
            raise Refused(404, "there is no such page")
        visitor = self._entrance.visitor(Role.OPERATE)
        self._entrance.check_form(visitor.session)
        try:
            self._carry_out(id, act, By(visitor.person.name, "page"))
        except Refused as refused:
            if refused.status not in (400, 409):
                raise
            return self._show(visitor, id, status=refused.status, said=refused.detail, comment=_comment())
        return self._to(f"/remediations/{id}")

    def acted(self, id: str, act: str) -> Response:  # noqa: A002 — likewise
        """The address of a refused act, opened again: to the remediation, and nothing is done."""
        if act not in _BODIES:
            raise Refused(404, "there is no such page")
        self._entrance.visitor(Role.READ)
        self._api.remediation(id)
        return self._to(f"/remediations/{id}")

    def _carry_out(self, id: str, act: str, by: By) -> None:  # noqa: A002 — likewise
        comment = _comment()
        given: dict[str, Any] = {"why": comment} if comment else {}
        asking = request.form.get("asking", "")
        if act in ("approve", "reject"):
            given["asking"] = int(asking) if asking.isascii() and asking.isdecimal() and len(asking) < 9 else 0
        try:
            body = _BODIES[act].model_validate(given)
        except ValidationError as error:
            about = {part for fault in error.errors() for part in fault["loc"]}
            if "asking" in about:
                raise Refused(400, "this form is no longer good: open the page again, and decide there") from error
            raise Refused(400, "a comment is needed, of at most 2000 characters") from error
        getattr(self._api, act)(id, body, by)

    # ── signing in ──────────────────────────────────────────────────────────────────────────────

    def door(self) -> Response:
        return self._door(200)

    def sign_in(self) -> Response:
        self._has_door()
        session, fresh = self._entrance.at_the_door()
        if fresh:
            return self._door(403, "the form was open for too long: try again")
        self._entrance.check_form(session)
        try:
            signed_in = self._entrance.sign_in(request.form.get("token", ""))
        except Refused as refused:
            answer = self._door(refused.status, refused.detail)
            answer.headers.update(refused.headers)
            return answer
        return self._entrance.enter(self._to(_own(request.form.get("next"))), signed_in)

    def sign_out(self) -> Response:
        self._entrance.check_form(self._entrance.visitor(Role.READ).session)
        return self._entrance.forget(self._to("/sign-in"))

    def _door(self, status: int, said: str = "") -> Response:
        self._has_door()
        session, fresh = self._entrance.at_the_door()
        following = _own(request.values.get("next"))
        answer = self._render(
            "sign_in.html", status, said=said, next=following, form=self._entrance.form_token(session), who=None
        )
        return self._entrance.remember(answer, session) if fresh else answer

    def _has_door(self) -> None:
        if not self._entrance.has_door:
            raise Refused(404, "people are not signed in here")

    # ── rendering ───────────────────────────────────────────────────────────────────────────────

    def _page(self, template: str, status: int, visitor: Visitor | None, **given: Any) -> Response:
        if visitor is None:
            return self._render(template, status, who=None, form="", **given)
        form = self._entrance.form_token(visitor.session)
        leaves = visitor.session.subject.startswith("token:")
        answer = self._render(template, status, who=visitor.person.name, form=form, leaves=leaves, **given)
        return self._entrance.remember(answer, visitor.session) if visitor.fresh else answer

    def _render(self, template: str, status: int, **given: Any) -> Response:
        prefix = self._entrance.front.prefix(request)
        text = self._templates.get_template(template).render({"prefix": prefix, "leaves": False, **given})
        return Response(text, status=status, content_type="text/html; charset=utf-8")

    def _refusal(self, refused: Refused) -> Response:
        answer = self._page("refused.html", refused.status, None, refused=refused.status, said=refused.detail)
        answer.headers.update(refused.headers)
        return answer

    def _to(self, path: str) -> Response:
        return Response(status=303, headers={"Location": self._entrance.front.prefix(request) + path})


def _own(path: str | None) -> str:
    """A path of ours to go on to; anything else leads to the first page."""
    return path if path is not None and _OWN.fullmatch(path) else "/"


def _comment() -> str:
    """What was typed: browsers send a line's end as two characters, and count it as one."""
    return request.form.get("comment", "").replace("\r\n", "\n").strip()


def _moment(text: str | None) -> str:
    """`2026-03-01T12:00:00.5Z` as `2026-03-01 12:00:00 UTC`."""
    return f"{text[:10]} {text[11:19]} UTC" if text else "–"
