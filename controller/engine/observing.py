"""Observing actions in the cluster: what their objects show becomes the action's end, or the next object to go by."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from controller import actions
from controller.actions import Outcome, Ref
from controller.engine.following import Following, created_ref
from controller.engine.working import ActionBegun, ActionEnded, Looked, Result, Workers
from controller.remediation import IN_CLUSTER, Acted, Intent
from controller.store import remediations
from controller.store.database import Database

LOOK = 15.0
"""Seconds between two looks at what cannot be watched."""

log = logging.getLogger(__name__)


def take_over(db: Database, following: Following, workers: Workers) -> None:
    """What an earlier process has begun in the cluster: followed again, and known as begun by another."""
    with db.read() as conn:
        left = [intent for intent in remediations.open_intents(conn) if intent.action in IN_CLUSTER]
    workers.inherited = frozenset(intent.id for intent in left)
    for intent in left:
        if intent.ref is not None:
            following.follow(intent.ref["kind"], intent.ref["namespace"])


def use_news(db: Database, following: Following, workers: Workers) -> bool:
    """Use what watches have shown, for the actions that go by it; whether there was any.

    An object that is missing where all were read is asked for: the action may be younger than that reading.
    """
    news = following.news()
    if not news:
        return False
    with db.read() as conn:
        about = remediations.intents_about(conn, news.objects) if news.objects else []
        followed = remediations.intents_followed(conn) if news.whole else []
    for intent in about:
        ref = intent.ref or created_ref(intent, news.objects)
        name = (ref["kind"], ref["namespace"], ref["name"]) if ref else None
        if ref is not None and name in news.objects:
            observe(workers, intent, ref, news.objects[name])
    for intent in followed:
        assert intent.ref is not None
        place = (intent.ref["kind"], intent.ref["namespace"])
        if place in news.whole and (*place, intent.ref["name"]) not in news.objects:
            workers.look(intent)
    following.used(news)
    return True


def look_where_watches_fail(db: Database, following: Following, workers: Workers) -> None:
    """Ask for the objects of actions that no watch shows: the API server is away, or the right to watch is missing."""
    if time.monotonic() - following.looked < LOOK or not (ailing := following.ailing()):
        return
    following.looked = time.monotonic()
    with db.read() as conn:
        followed = remediations.intents_followed(conn)
    for intent in followed:
        assert intent.ref is not None
        if (intent.ref["kind"], intent.ref["namespace"]) in ailing:
            workers.look(intent)


def go_on(result: Result, following: Following, workers: Workers) -> None:
    """After a result was recorded: watch the object that an action goes by; see what a look at one comes to."""
    match result:
        case ActionBegun():
            following.follow(result.ref["kind"], result.ref["namespace"])
            if result.intent.ref is not None:  # another object than before: it may stand as wanted already
                workers.look(replace(result.intent, ref=result.ref))
        case Looked():
            assert result.intent.ref is not None
            observe(workers, result.intent, result.intent.ref, result.object)


def observe(workers: Workers, intent: Intent, ref: Ref, found: dict[str, Any] | None) -> None:
    """Report what an object comes to for its action; nothing where the action goes on.

    :param found: the object, None: it is gone. One of the same name that was created anew is not ours.
    """
    if found is not None and ref["uid"] not in ("", found["metadata"]["uid"]):
        found = None
    try:
        answer = actions.observe(intent, ref, found)
    except Exception as error:  # an object that we do not understand must not stop all others
        log.exception("%s cannot be understood", ref)
        answer = Outcome("unknown", f"internal error: {error!r}")
    if isinstance(answer, Outcome):
        workers.report(ActionEnded(intent, Acted(answer.state, answer.message, answer.outputs, answer.reason)))
    elif answer is not None:
        workers.report(ActionBegun(intent, answer))
