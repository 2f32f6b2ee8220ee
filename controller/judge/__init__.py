"""Proof: what the samples of a verification come to. Pure, takes `now`.

Each verification has its own clock: it starts when the one before is done (the first
when the action has ended), samples count from `settle` on, and at `within` it is over.
What cannot be shown is `unknown`, never `recovered`; and what came after `within` shows
nothing, so a look that comes late (the process was away) judges as one in time.
"""

from controller.judge.looks import A_LOOK as A_LOOK
from controller.judge.looks import judge_analysis as judge_analysis
from controller.judge.looks import judge_command as judge_command
from controller.judge.looks import judge_query as judge_query
from controller.judge.looks import judge_rollout as judge_rollout
from controller.judge.reports import judge_report as judge_report
from controller.judge.reports import report_of as report_of
from controller.judge.reports import value_before as value_before
from controller.judge.sample import ConditionEnd as ConditionEnd
from controller.judge.sample import Judgement as Judgement
from controller.judge.sample import Sample as Sample
from controller.judge.sample import Verdict as Verdict
from controller.judge.signs import judge_quiet as judge_quiet
from controller.judge.signs import judge_resolved as judge_resolved
