"""What the verification at hand has shown by now, of what is kept in the store."""

from __future__ import annotations

from controller.judge import (
    Judgement,
    judge_analysis,
    judge_command,
    judge_query,
    judge_quiet,
    judge_report,
    judge_resolved,
    judge_rollout,
    value_before,
)
from controller.policy import (
    AnalysisVerification,
    CommandVerification,
    QueryVerification,
    QuietVerification,
    ReportVerification,
    ResolvedVerification,
    RolloutVerification,
)
from controller.remediation import Remediation
from controller.store import remediations
from controller.store.ledger import Ledger


def judge(ledger: Ledger, r: Remediation) -> Judgement:
    """Judge the verification that a remediation stands on."""
    conn, now = ledger.turn.conn, ledger.turn.now
    spec = r.rung.verify[r.verify_index]
    since = r.phase_since
    match spec:
        case CommandVerification():
            return judge_command(spec, remediations.samples(conn, r), since, now)
        case RolloutVerification():
            return judge_rollout(spec, remediations.samples(conn, r), since, now)
        case QueryVerification():
            return judge_query(spec, remediations.samples(conn, r), r.action_ended or since, since, now)
        case ReportVerification():
            before = value_before(spec, ledger.event(r.event_seq))
            return judge_report(spec, remediations.samples(conn, r), before, since, now)
        case AnalysisVerification():
            return judge_analysis(spec, remediations.samples(conn, r), since, now)
        case QuietVerification():
            return judge_quiet(spec, remediations.samples(conn, r), since, now)
        case ResolvedVerification():
            ends = remediations.condition_ends(conn, r.evidence)
            return judge_resolved(spec, ends, r.action_ended or since, since, now)
