"""What there is to do, in one question: a round of the engine asks only for the work that is there.

The engine looks a few times for each event; seven questions at each look were half of what an
event cost (measured: 24 of its 93 statements, and building them).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, func, select

from controller.schema import acts, due, events, models, questions, remediations
from controller.store.remediations import TO_BEGIN, TO_STOP


@dataclass(frozen=True, slots=True)
class Agenda:
    """Whether there is work of each kind, and when the next falls due; `now` by the leader's clock."""

    now: datetime
    acts: bool
    events: bool
    renewals: bool
    intents: bool
    questions_due: datetime | None
    remediations_due: datetime | None
    dates_due: datetime | None
    soaks_due: datetime | None
    confirms_due: datetime | None

    @property
    def questions(self) -> bool:
        """Whether a question is due."""
        return self.questions_due is not None and self.questions_due <= self.now

    @property
    def remediations(self) -> bool:
        """Whether a remediation is due."""
        dates = (self.remediations_due, self.confirms_due)
        return any(date is not None and date <= self.now for date in dates)

    @property
    def dates(self) -> bool:
        """Whether a schedule, or `since`, is due for a model."""
        return self.dates_due is not None and self.dates_due <= self.now

    @property
    def next_due(self) -> datetime | None:
        """The next date."""
        due = (self.questions_due, self.remediations_due, self.dates_due, self.soaks_due)
        dates = (*due, self.confirms_due)
        return min((date for date in dates if date), default=None)

    @property
    def soaks(self) -> bool:
        """Whether it is to be asked of a version whether it has proved to be good."""
        return self.soaks_due is not None and self.soaks_due <= self.now


# Built once: SQLAlchemy takes longer to build such a statement than SQLite to answer it.
_ASK = select(
    exists().where(acts.c.input_seq.is_(None)),
    exists().where(events.c.decided_at.is_(None)),
    exists().where(events.c.renewed_at.is_not(None), events.c.decided_at.is_not(None)),
    TO_BEGIN.exists() | TO_STOP.exists(),
    select(func.min(questions.c.retry_at)).scalar_subquery(),
    select(func.min(remediations.c.next_at)).where(remediations.c.ended_at.is_(None)).scalar_subquery(),
    select(func.min(due.c.next_at)).scalar_subquery(),
    select(func.min(models.c.soaks_at)).scalar_subquery(),
    select(func.min(remediations.c.confirm_until)).where(remediations.c.confirm_until.is_not(None)).scalar_subquery(),
)


def agenda(conn: Connection, now: datetime) -> Agenda:
    """What there is to do at `now`."""
    return Agenda(now, *conn.execute(_ASK).one())
