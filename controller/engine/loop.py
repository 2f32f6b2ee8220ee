"""The engine's loop: the only orchestration. One thread decides and saves; workers touch the world.

A round takes, in this order, what people asked for, a changed policy set, what objects in the
cluster came to, results of workers, new events, repeats, questions and remediations that are due. Each is a
transaction of its own that begins with the leader's check, but for events, which are taken
in batches. Start-up, recovery, retry and wake-up are all the same round: everything is
found in the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from controller.decision import Decision
from controller.engine import careful, dating, learning, observing, starting
from controller.engine.acting import carry_out, give_up
from controller.engine.adopting import bring_into_force
from controller.engine.asking import ask_again
from controller.engine.following import Following
from controller.engine.moving import tick
from controller.engine.recording import record_action, record_sample
from controller.engine.rules import Rules
from controller.engine.using import renew, use
from controller.engine.working import ActionBegun, ActionEnded, Looked, NoLongerWanted, Result, SampleTaken, Workers
from controller.errors import Conflict, ModelmendError, NotLeader, TemporaryError
from controller.events.event import OWN_SOURCE
from controller.kube import Kube
from controller.metrics import Metrics
from controller.policy import PolicySet
from controller.policy.state import Serves
from controller.prometheus import Prometheus
from controller.remediation import Intent, Phase, Remediation, Transition
from controller.store import acts, due_rows, questions, remediations, states
from controller.store.agenda import Agenda, agenda
from controller.store.leader import Leadership, Turn
from controller.store.ledger import Ledger
from controller.store.ledger_rows import ModelKey
from controller.store.undecided import Renewal, Stored, renewal_used, renewals, undecided

log = logging.getLogger(__name__)

BATCH = 256
"""Events in one transaction, at most."""
BATCH_SECONDS = 0.02
"""Seconds that one batch should take, since intake waits for it: the next one is made smaller, or larger, by it."""
SMALLEST_BATCH = 16
YIELD = 4.0
"""While senders wait for their 202, the engine rests this many times as long as its last batch took.

Both write to one database, one at a time, and decisions can wait: without this each commit of
intake stands in line behind a batch, and intake is no faster than deciding.
"""
LONGEST_REST = 0.1
DUE = 64
"""Questions, remediations or repeats taken in one round."""
IDLE = 1.0
"""Seconds between two looks where nothing is due and nobody wakes the engine."""
POSTPONED = timedelta(minutes=1)
"""What raised is tried again after this."""


class Engine:
    """Decides, and moves remediations, on the database that it leads."""

    def __init__(  # noqa: PLR0913 — the composition root hands over all of it once
        self,
        leadership: Leadership,
        rules: Rules,
        *,
        metrics: Metrics,
        workers: int = 8,
        kube: Kube | None = None,
        prometheus: Prometheus | None = None,
        on_decided: Callable[[int], None] = lambda _: None,
        on_saved: Callable[[], None] = lambda: None,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self.leadership = leadership
        self.rules = rules
        self._metrics = metrics
        self._on_decided = on_decided
        self._on_saved = on_saved
        self._crowded = crowded
        self._proposed: deque[tuple[PolicySet, tuple[str, ...]]] = deque()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._workers = Workers(workers, self._note_process, self._note_resolved, self.wake, kube, prometheus)
        self._following = Following(kube, self.wake)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._agenda: Agenda | None = None
        self._batch = SMALLEST_BATCH
        self._took = 0.0  # seconds of the last batch
        self._careful_to = 0
        self._recovered = False
        self._world_behind = True
        self._caught_up = 0.0  # of the monotonic clock: also while events keep every round busy, what is to stop stops
        self._served: learning.Served = {}
        self._begun = False  # a remediation was made since the last look at those that are due
        self.failure: ModelmendError | None = None
        self.trouble = ""

    def start(self) -> None:
        """Begin to work in a thread of its own."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread works."""
        return self._thread.is_alive()

    def stop(self, grace: float = 10.0) -> None:
        """Finish the round, give actions `grace` seconds, then end."""
        self._stopped.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._following.stop()
        self._workers.stop(grace)
        try:
            self._record_results()
        except ModelmendError as error:
            log.warning("results of the last actions were not recorded: %s", error)

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def adopt(self, policies: PolicySet, refused: tuple[str, ...] = ()) -> None:
        """Bring a set into force with the next round."""
        self._proposed.append((policies, refused))
        self.wake()

    def _run(self) -> None:
        delay = 0.0
        while not self._stopped.is_set():
            try:
                busy = self.round()
                delay, self.trouble = 0.0, ""
            except NotLeader as error:
                log.error("another process leads: this one stops deciding: %s", error)  # noqa: TRY400
                self.failure = error
                self._metrics.leader.set(0)
                return
            except TemporaryError as error:
                delay = min(max(2 * delay, 0.25), 15.0)
                self._count_error("temporary", error)
                self._stopped.wait(delay)
                continue
            except Exception as error:
                delay = min(max(2 * delay, 1.0), 60.0)
                log.exception("the engine's round failed")
                self._count_error("internal", error)
                self._stopped.wait(delay)
                continue
            if not busy:
                self._wake.wait(self._idle_seconds())
            self._wake.clear()

    def _idle_seconds(self) -> float:
        """Until what the last look said is due next."""
        if self._agenda is None or self._agenda.next_due is None:
            return IDLE
        return min(max((self._agenda.next_due - self._agenda.now).total_seconds(), 0.0), IDLE)

    def round(self) -> bool:
        """Do what is to be done now; True where there may be more at once.

        :raises TemporaryError: the store is away; nothing is lost, try again later.
        :raises NotLeader: another process has taken over.
        """
        busy = self._adopt_proposed()
        if not self._recovered:
            self._recover()
        with self.leadership.db.read() as conn:
            due = self._agenda = agenda(conn, self.leadership.now(conn))
        busy |= due.acts and self._carry_out_acts()
        busy |= self._learn()
        busy |= observing.use_news(self.leadership.db, self._following, self._workers)
        busy |= self._record_results()
        busy |= due.dates and self._look_at_dates()
        busy |= due.events and self._use_events()
        busy |= due.renewals and self._use_renewals()
        busy |= due.questions and self._ask_questions()
        busy |= due.soaks and self._soak()
        if due.remediations or self._begun:
            self._begun = False
            busy |= self._look_at_remediations()
        observing.look_where_watches_fail(self.leadership.db, self._following, self._workers)
        waiting = due.intents and (not busy or time.monotonic() - self._caught_up > IDLE)
        if self._world_behind or self._workers.dropped or self._workers.take_up() or waiting:
            self._world_behind = self._workers.dropped = False
            self._caught_up = time.monotonic()
            starting.catch_up(self.leadership.db, self._workers, self._following)
        return busy or bool(self._workers.results)

    def _recover(self) -> None:
        """What an earlier process left: suspects among the events, actions cut off, waits that no job serves."""
        leadership = self.leadership
        if leadership.unclean or careful.suspects(leadership):
            self._careful_to = careful.probe_suspects(leadership, self._quarantine)
        for result in starting.cut_off(leadership):
            self._workers.report(result)
        with leadership.transaction() as turn:
            due_rows.spread_overdue(turn)
        observing.take_over(leadership.db, self._following, self._workers)
        self._recovered = True

    # events

    def _use_events(self) -> bool:
        with self.leadership.db.read() as conn:
            batch = undecided(conn, self._batch)
        if not batch:
            return False
        if batch[0].seq <= self._careful_to:  # later batches hold none that an earlier process left
            careful.take(self.leadership, *(stored.seq for stored in batch))
        try:
            answers = self._use(batch)
        except (TemporaryError, NotLeader):
            raise
        except Exception as error:  # noqa: BLE001 — found one by one, counted and quarantined there
            log.warning("a batch of %d events is taken one by one: %r", len(batch), error)
            for stored in batch:
                self._use_one(stored)
            return True
        self._decided(batch, answers)
        if self._crowded():
            self._stopped.wait(min(YIELD * self._took, LONGEST_REST))
        return True

    def _use(self, batch: Sequence[Stored]) -> list[tuple[str, Decision]]:
        answers: list[tuple[str, Decision]] = []
        with self.leadership.transaction() as turn:
            began = time.perf_counter()  # not before: waiting for intake's commit says nothing of the batch
            ledger = Ledger(turn)
            for stored in batch:
                self.rules.announce(ledger, stored.event)
            loaded = time.perf_counter()
            for stored in batch:
                answers += use(ledger, self.rules, stored)
            deciding = time.perf_counter() - loaded
            ledger.flush()
        took = time.perf_counter() - began
        self._took = took
        self._metrics.decide_seconds.observe(took / len(batch))
        # A store that is slow to answer is not made faster by smaller batches, only slower.
        around = took - deciding
        fitting = int(len(batch) * max(BATCH_SECONDS - around, around) / deciding)
        self._batch = min(max(fitting, SMALLEST_BATCH), 2 * self._batch, BATCH)
        return answers

    def _use_one(self, stored: Stored) -> None:
        try:
            answers = self._use([stored])
        except (TemporaryError, NotLeader):
            raise
        except Exception as error:
            log.exception("event %s of %s cannot be decided", stored.event.id, stored.event.source)
            self._count_error("internal", error)
            self._quarantine(stored, "internal_error", repr(error))
            return
        self._decided([stored], answers)

    def _quarantine(self, stored: Stored, reason: str, message: str) -> None:
        evicted = careful.quarantine_event(self.leadership, stored, reason, message)
        self._metrics.decisions.labels("", "suppress", reason).inc()
        self._metrics.quarantine_evicted.inc(evicted)
        self._on_decided(_sent([stored]))

    def _decided(self, used: Sequence[Stored], answers: Sequence[tuple[str, Decision]]) -> None:
        self._on_decided(_sent(used))
        for policy, decision in answers:
            self._count(policy, decision)
        if any(decision.outcome == "remediate" or decision.reason == "audit" for _, decision in answers):
            self._begun = self._world_behind = True  # an urgent one may have others stopped
            self._on_saved()

    def _count(self, policy: str, decision: Decision) -> None:
        self._metrics.decisions.labels(policy, str(decision.outcome), str(decision.reason or "")).inc()

    def _use_renewals(self) -> bool:
        with self.leadership.db.read() as conn:
            found = renewals(conn, DUE)
        for renewal in found:
            self._each(
                f"repeat of event {renewal.stored.seq}",
                partial(self._renewed, renewal),
                partial(_let_go, renewal),
            )
        return bool(found)

    def _renewed(self, renewal: Renewal, turn: Turn) -> None:
        ledger = Ledger(turn)
        renew(ledger, self.rules, renewal)
        ledger.flush()

    # dates, questions, acts, policy sets

    def _look_at_dates(self) -> bool:
        with self.leadership.db.read() as conn:
            due = due_rows.due(conn, self._now(conn), DUE)
        for key in due:
            self._each(
                f"date {key}",
                partial(self._looked, key),
                partial(due_rows.postpone, key, POSTPONED),
            )
        return bool(due)

    def _looked(self, key: due_rows.Key, turn: Turn) -> None:
        dating.look(turn, self.rules.policies, key)

    def _ask_questions(self) -> bool:
        with self.leadership.db.read() as conn:
            due = questions.due(conn, self._now(conn), DUE)
        for key in due:
            self._each(
                f"question {key}",
                partial(self._asked, key),
                partial(questions.postpone, key, POSTPONED),
            )
        return bool(due)

    def _asked(self, key: questions.Key, turn: Turn) -> Callable[[], None]:
        decision = ask_again(turn, self.rules, key)

        def after() -> None:
            if decision is not None:
                self._count(f"{key[0]}/{key[1]}", decision)
                self._on_saved()

        return after

    def _carry_out_acts(self) -> bool:
        with self.leadership.db.read() as conn:
            found = acts.unused(conn, DUE)
        for act in sorted(found, key=lambda act: act.kind == "replay"):  # a probe takes time: people's stop goes first
            deadly = careful.still_deadly(self.leadership, act)
            self._each(
                f"act {act.id}",
                partial(_given_up, act, deadly) if deadly else partial(self._acted, act),
                partial(_given_up, act, "internal error"),
            )
        return bool(found)

    def _acted(self, act: acts.Act, turn: Turn) -> Callable[[], None]:
        carry_out(turn, self.rules, act)

        def after() -> None:
            self._world_behind = True
            self._on_saved()

        return after

    def _adopt_proposed(self) -> bool:
        if not self._proposed:
            return False
        policies, refused = self._proposed[0]
        rules = self.rules.with_policies(policies)
        with self.leadership.transaction() as turn:
            bring_into_force(turn, rules, refused)
        self.rules = rules
        self._proposed.popleft()
        before, self._served = self._served, learning.served(policies)
        learning.watch(self._following, before, self._served)
        self._metrics.policies_known(policy.key for policy in policies.policies)
        self._metrics.policies_in_force.set(len(policies.policies))
        self._metrics.documents_refused.set(len(refused))
        return True

    def _learn(self) -> bool:
        """Use what serving objects have shown of versions, before it is used for the actions that go by them."""
        found = learning.changes(self.leadership.db, self._following.news(), self._served)
        for key, seen in found:
            self._each(f"what serves {key}", partial(self._learnt, key, seen), _leave)
        return bool(found)

    def _learnt(self, key: ModelKey, seen: Serves, turn: Turn) -> None:
        learning.learn_served(turn, self.rules, key, seen)

    def _soak(self) -> bool:
        with self.leadership.db.read() as conn:
            due = states.soaked(conn, self._now(conn), DUE)
        for key in due:
            self._each(f"whether {key} is good", partial(self._soaked, key), partial(_ask_later, key))
        return bool(due)

    def _soaked(self, key: ModelKey, turn: Turn) -> None:
        learning.soak(turn, self.rules, key)

    # remediations

    def _look_at_remediations(self) -> bool:
        with self.leadership.db.read() as conn:
            due = remediations.due(conn, self._now(conn), DUE)
        for remediation_id in due:
            self._each(
                f"remediation {remediation_id}",
                partial(self._ticked, remediation_id),
                partial(_look_later, remediation_id),
            )
        return bool(due)

    def _ticked(self, remediation_id: str, turn: Turn) -> Callable[[], None] | None:
        remediation = remediations.read(turn.conn, remediation_id)
        if remediation is None:
            return None
        transition, judgement = tick(turn, self.rules, remediation)
        if transition is not None:
            return partial(self._moved, transition)
        if judgement is None or not judgement.sample_due:
            return None
        asked = starting.asked_about(turn, remediation)
        return partial(self._workers.sample, asked, starting.sample_context(turn, asked))

    def _moved(self, transition: Transition) -> None:
        after = transition.remediation
        self._world_behind |= after.phase in (Phase.RUNNING, Phase.STOPPING)
        self._on_saved()
        if after.phase.terminal:
            self._count_ended(after)

    def _count_ended(self, r: Remediation) -> None:
        action = str(r.parameters[r.step]["kind"]) if r.acted else ""
        self._metrics.remediations.labels(f"{r.policy_ns}/{r.policy}", action, str(r.phase)).inc()
        if r.ended_at is not None:
            self._metrics.remediation_duration_seconds.observe((r.ended_at - r.started_at).total_seconds())

    def _note_process(self, intent: Intent, pid: int, pid_started: float) -> None:
        with self.leadership.transaction() as turn:
            remediations.tried(turn, intent, pid, pid_started)

    def _note_resolved(self, intent: Intent, end_state: dict[str, Any], resource_version: str | None) -> None:
        with self.leadership.transaction() as turn:
            if not remediations.is_running(turn.conn, intent):
                raise NoLongerWanted
            remediations.resolved(turn, intent, end_state, resource_version)

    def _record_results(self) -> bool:
        results = self._workers.results
        busy = bool(results)
        while results:
            result = results[0]
            try:
                with self.leadership.transaction() as turn:
                    transition = self._record(turn, result)
            except (TemporaryError, NotLeader):
                raise
            except Exception as error:
                log.exception("a result cannot be recorded: %r", result)
                self._count_error("internal", error)
                results.popleft()
                # An action stays in hand, lest it is done twice: its remediation times out, its fate unknown.
                if not isinstance(result, ActionEnded):
                    self._workers.recorded(result)
                if isinstance(result, SampleTaken):
                    with self.leadership.transaction() as turn:
                        _look_later(result.remediation.id, turn)
                continue
            results.popleft()
            self._workers.recorded(result)
            observing.go_on(result, self._following, self._workers)
            if transition is not None:
                self._moved(transition)
        return busy

    def _record(self, turn: Turn, result: Result) -> Transition | None:
        match result:
            case ActionEnded():
                return record_action(turn, self.rules, result.intent, result.acted)
            case ActionBegun():
                remediations.begun(turn, result.intent, result.ref)
            case SampleTaken():
                record_sample(turn, result.remediation, result.sample)
            case Looked():
                pass  # what it comes to is reported when it is gone on with
        return None

    # faults

    def _each(
        self,
        what: str,
        work: Callable[[Turn], Callable[[], None] | None],
        postpone: Callable[[Turn], None],
    ) -> None:
        """Do one thing in a transaction; one that raises is put off, so that it stops nothing but itself."""
        try:
            with self.leadership.transaction() as turn:
                after = work(turn)
        except (TemporaryError, NotLeader):
            raise
        except Exception as error:
            log.exception("%s failed and is put off", what)
            self._count_error("conflict" if isinstance(error, Conflict) else "internal", error)
            with self.leadership.transaction() as turn:
                postpone(turn)
            return
        if after is not None:
            after()

    def _count_error(self, kind: str, error: Exception) -> None:
        self.trouble = str(error) if kind == "temporary" else self.trouble
        self._metrics.reconcile_errors.labels(kind).inc()
        log.warning("%s error: %s", kind, error)

    def _now(self, conn: Connection) -> datetime:
        return self.leadership.now(conn)


def _sent(used: Sequence[Stored]) -> int:
    """How many of the events somebody sent: intake counts those."""
    return sum(stored.event.source != OWN_SOURCE for stored in used)


def _given_up(act: acts.Act, why: str, turn: Turn) -> None:
    give_up(turn, act, why)


def _leave(turn: Turn) -> None:
    """What could not be used is not put off: the next change of the object is used anew."""


def _ask_later(key: ModelKey, turn: Turn) -> None:
    states.ask_at(turn, key, turn.now + POSTPONED)


def _let_go(renewal: Renewal, turn: Turn) -> None:
    renewal_used(turn, renewal)


def _look_later(remediation_id: str, turn: Turn) -> None:
    remediations.look_again(turn, [remediation_id], turn.now + POSTPONED)
