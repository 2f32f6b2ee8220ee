"""What each route of the JSON API answers: reads from `store.listing`, acts through the engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection

from controller import __version__
from controller.errors import Fault
from controller.explain import Explanation, explain_event, explain_remediation
from controller.explain.reasons import because
from controller.store import listing, standing
from controller.store.database import Database
from controller.store.paging import instant
from controller.web import bodies
from controller.web.callers import By
from controller.web.problems import Refused
from controller.web.sweeping import swept

Item = dict[str, Any]
SubmitAct = Callable[[str, str, str, Item, str, str], Item]

_REMEDIATION = re.compile(r"r-[a-z2-7]{12}")
_LARGEST_SEQ = 2**63 - 1
_CANDIDATES = 20


class Api:
    """One method for each route; arguments are the path's parts, the checked query and body, and who asks."""

    def __init__(
        self, db: Database, submit_act: SubmitAct, clock: Callable[[], datetime], status: Callable[[], Item]
    ) -> None:
        self._db = db
        self._submit_act = submit_act
        self._clock = clock
        self._status = status

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def status(self) -> Item:
        with self._db.read() as conn:
            return {"version": __version__, **standing.status(conn, self._db.now(conn)), **self._status()}

    def events(self, query: bodies.EventsQuery) -> Item:
        return self._page(listing.events, query)

    def event(self, seq: str) -> Item:
        with self._db.read() as conn:
            return _found(_event(conn, seq, self._db.now(conn)), f"no event {seq}")

    def conditions(self, query: bodies.ConditionsQuery) -> Item:
        return self._page(listing.conditions, query, timed=True)

    def condition(self, id: str) -> Item:  # noqa: A002 — the path's word
        with self._db.read() as conn:
            return _found(listing.condition(conn, id, self._db.now(conn)), f"no condition {id}")

    def questions(self, query: bodies.QuestionsQuery) -> Item:
        return self._page(listing.questions, query)

    def decisions(self, query: bodies.DecisionsQuery) -> Item:
        return self._page(listing.decisions, query)

    def decision(self, id: str) -> Item:  # noqa: A002 — likewise
        with self._db.read() as conn:
            number = _number(id)
            return _found(listing.decision(conn, number) if number else None, f"no decision {id}")

    def remediations(self, query: bodies.RemediationsQuery) -> Item:
        return self._page(listing.remediations, query)

    def remediation(self, id: str) -> Item:  # noqa: A002 — likewise
        with self._db.read() as conn:
            return _found(listing.remediation(conn, id), f"no remediation {id}")

    def models(self, query: bodies.ModelsQuery) -> Item:
        return self._page(standing.models, query)

    def model(self, namespace: str, name: str) -> Item:
        with self._db.read() as conn:
            return _found(standing.model(conn, namespace, name, self._db.now(conn)), f"no model {namespace}/{name}")

    def policies(self, query: bodies.PageQuery) -> Item:
        with self._db.read() as conn:
            in_force = standing.policy_set(conn) or {"since": None, "digest": None, "refused": []}
            page = _paged(standing.policies, conn, query)
            return page | {key: in_force[key] for key in ("since", "digest", "refused")}

    def policy(self, namespace: str, name: str) -> Item:
        with self._db.read() as conn:
            return _found(standing.policy(conn, namespace, name), f"no policy {namespace}/{name} in force")

    def silences(self, query: bodies.SilencesQuery) -> Item:
        return self._page(listing.silences, query, timed=True)

    def silence(self, id: str) -> Item:  # noqa: A002 — likewise
        with self._db.read() as conn:
            return _found(listing.silence(conn, id, self._db.now(conn)), f"no silence {id}")

    def pauses(self, query: bodies.PausesQuery) -> Item:
        return self._page(listing.pauses, query, timed=True)

    def quarantine(self, query: bodies.QuarantineQuery) -> Item:
        return self._page(listing.quarantine, query)

    def quarantined(self, digest: str) -> Item:
        with self._db.read() as conn:
            return _found(listing.quarantined(conn, digest), f"nothing {digest} in quarantine")

    def explain(self, query: bodies.ExplainQuery) -> Item:
        with self._db.read() as conn:
            return _explain(conn, query, self._db.now(conn)).as_dict()

    def explained(self, id: str) -> Explanation:  # noqa: A002 — likewise
        """Why, of one remediation."""
        with self._db.read() as conn:
            found = _found(listing.remediation(conn, id), f"no remediation {id}")
            return _explain_remediation(conn, found, self._db.now(conn))

    def told_with(self, remediation: Item) -> tuple[Item | None, Item | None, list[Item]]:
        """Its event, the decision that started it, and the conditions that it answers; what retention left of them."""
        with self._db.read() as conn:
            now = self._db.now(conn)
            found = [listing.condition(conn, id_, now) for id_ in remediation["conditions"]]
            event = listing.event(conn, remediation["event"], now)
            return event, listing.decision(conn, remediation["decision"]), [one for one in found if one is not None]

    # ── acting ──────────────────────────────────────────────────────────────────────────────────

    def cancel(self, id: str, body: bodies.WhyBody, by: By) -> Item:  # noqa: A002 — likewise
        self.remediation(id)
        done = self._act("cancel", "remediation", id, {}, by, body.why)
        return _done(done, f"remediation {id} is {done.get('phase', 'cancelled')}")

    def approve(self, id: str, body: bodies.ApproveBody, by: By) -> Item:  # noqa: A002 — likewise
        return self._answer("approve", id, body.asking, by, body.why)

    def reject(self, id: str, body: bodies.RejectBody, by: By) -> Item:  # noqa: A002 — likewise
        return self._answer("reject", id, body.asking, by, body.why)

    def retry(self, id: str, body: bodies.CommentBody, by: By) -> Item:  # noqa: A002 — likewise
        found = self.remediation(id)
        done = self._act("retry", "remediation", id, {}, by, body.why, about=found)
        return _done(done, f"remediation {done.get('remediation')} goes on with {id}")

    def _answer(self, act: str, id: str, asking: int | None, by: By, why: str) -> Item:  # noqa: A002 — likewise
        self.remediation(id)
        done = self._act(act, "remediation", id, {"asking": asking}, by, why)
        return _done(done, f"remediation {id}: {done.get('step')} is {act}{'d' if act[-1] == 'e' else 'ed'}")

    def end_condition(self, id: str, body: bodies.WhyBody, by: By) -> Item:  # noqa: A002 — likewise
        self.condition(id)
        return _done(self._act("end_condition", "condition", id, {}, by, body.why), f"condition {id} is over")

    def add_silence(self, body: bodies.SilenceBody, by: By) -> Item:
        try:
            starts, ends = body.times(self._clock())
        except ValueError as error:
            found = str(body.ends_at or body.for_)
            raise Refused(400, "the body is not as described", [Fault("endsAt", str(error), found)]) from error
        with self._db.read() as conn:
            muted = None if body.confirm else swept(conn, body.matchers)
        if muted is not None:
            what = f"everything: {muted['models']} models, {muted['policies']} policies"
            raise Refused(400, f'it would silence {what}; say "confirm": true if it shall', confirm=muted)
        act = {"matchers": body.matchers, "starts_at": instant(starts), "ends_at": instant(ends)}
        done = self._act("silence", "silence", "", act, by, body.why)
        return _done(done, f"silence {done.get('id')} from {instant(starts)} until {instant(ends)}")

    def expire_silence(self, id: str, body: bodies.WhyBody, by: By) -> Item:  # noqa: A002 — likewise
        self.silence(id)
        return _done(self._act("expire", "silence", id, {}, by, body.why), f"silence {id} has ended")

    def pause(self, body: bodies.PauseBody, by: By) -> Item:
        scope, ref = body.scope()
        if body.until is not None and body.until <= self._clock():
            fault = Fault("until", "a time that is still to come", str(instant(body.until)))
            raise Refused(400, "the body is not as described", [fault])
        done = self._act("pause", scope, ref, {"until": instant(body.until)}, by, body.why)
        until = f"until {instant(body.until)}" if body.until else "until it is resumed"
        return _done(done, f"{_what(scope, ref)} is paused {until} ({done.get('id')})")

    def resume(self, body: bodies.ResumeBody, by: By) -> Item:
        scope, ref = body.scope()
        done = self._act("resume", scope, ref, {"policy": body.policy, "model": body.model}, by, body.why)
        if body.policy and body.model:
            return _done(done, f"the breaker of {body.policy} for {body.model} is closed")
        if not done.get("lifted"):
            raise Refused(409, f"{_what(scope, ref)} was not paused")
        return _done(done, f"{_what(scope, ref)} is resumed")

    def replay(self, digest: str, body: bodies.WhyBody, by: By) -> Item:
        self.quarantined(digest)
        done = self._act("replay", "event", digest, {}, by, body.why)
        answers = ", ".join(done.get("decisions") or ()) or "nothing"
        return _done(done, f"event {done.get('event')} is decided again: {answers}")

    def _act(self, kind: str, scope: str, ref: str, body: Item, by: By, why: str, *, about: Item | None = None) -> Item:
        """The engine's answer; its "no" is a 409, with who decided and when. Raises what `submit_act` raises.

        `about`: the remediation whose model and policy a guard's no names.
        """
        outcome = self._submit_act(kind, scope, ref, {**body, "way": by.way}, by.name, why)
        if not outcome.get("ok"):
            raise _refused(outcome, about or {})
        return outcome

    def _page(self, read: Callable[..., Item], query: bodies.PageQuery, *, timed: bool = False) -> Item:
        with self._db.read() as conn:
            return _paged(read, conn, query, *([self._db.now(conn)] if timed else []))


def _refused(outcome: Item, about: Item) -> Refused:
    """The engine's no, with what it rests on: who decided, or which guard refuses and by which values."""
    detail = str(outcome.get("error") or "the answer is no")
    if outcome.get("reason"):
        values = {**(outcome.get("values") or {}), "policy": about.get("policy")}
        sentence = because(outcome["reason"], values, f"{about.get('namespace')}/{about.get('model')}")
        detail = f"not now: {outcome['reason']}: {sentence}"
    return Refused(409, detail, **{key: outcome[key] for key in ("decided", "reason", "values") if outcome.get(key)})


def _paged(read: Callable[..., Item], conn: Connection, query: BaseModel, *more: Any) -> Item:
    try:
        return read(conn, *more, **dict(query))
    except (ValueError, OverflowError) as error:  # the cursor
        fault = Fault("query.cursor", "a cursor that a page before gave as `next`", str(dict(query).get("cursor")))
        raise Refused(400, "the query is not as described", [fault]) from error


def _found(item: Item | None, otherwise: str) -> Item:
    if item is None:
        raise Refused(404, otherwise)
    return item


def _done(outcome: Item, message: str) -> Item:
    return {**outcome, "message": message}


def _what(scope: str, ref: str) -> str:
    return "everything" if scope == "all" else f"{scope} {ref}"


def _number(text: str) -> int | None:
    """A row's number; None for what can be none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= _LARGEST_SEQ else None


def _event(conn: Connection, seq: str, now: datetime) -> Item | None:
    number = _number(seq)
    return listing.event(conn, number, now) if number else None


def _explain(conn: Connection, query: bodies.ExplainQuery, now: datetime) -> Explanation:
    if query.source is None and _REMEDIATION.fullmatch(query.ref):
        remediation = listing.remediation(conn, query.ref)
        if remediation is not None:
            return _explain_remediation(conn, remediation, now)
    named = listing.events(conn, id=query.ref, source=query.source, limit=_CANDIDATES)["items"]
    if len(named) > 1:
        sources = [event["source"] for event in named]
        raise Refused(
            409, f"{query.ref} is an event of several sources: {', '.join(sources)}; say which", candidates=sources
        )
    event = listing.event(conn, named[0]["seq"], now) if named else None
    if event is None and query.source is None:
        event = _event(conn, query.ref, now)
    if event is None:
        raise Refused(404, f"no event and no remediation {query.ref}")
    decisions = _last_in_full(conn, event["decisions"])
    return explain_event(event, decisions, event["remediations"], event["conditions"], event["questions"])


def _last_in_full(conn: Connection, decisions: list[Item]) -> list[Item]:
    """The decisions, the newest with the situation that it rests on."""
    newest = max((decision["id"] for decision in decisions), default=None)
    return [(listing.decision(conn, row["id"]) or row) if row["id"] == newest else row for row in decisions]


def _explain_remediation(conn: Connection, remediation: Item, now: datetime) -> Explanation:
    event = listing.event(conn, remediation["event"], now)
    decision = listing.decision(conn, remediation["decision"])
    return explain_remediation(remediation, event, [decision] if decision else [])
