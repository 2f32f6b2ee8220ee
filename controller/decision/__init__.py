"""decide(): the answer to "event x policy", from a situation that was read before.

Pure: no I/O, no clock, no memory. Whatever an answer rests on is in its `Situation`,
which is stored with the decision, so that the same question can be answered again, by a
replay, a test or `modelmend explain`, and must be answered alike.

The guards are asked in one fixed order (`guards`) and the first that refuses names the
reason. Each reason says by itself what may lift it (`Decision.retry_at`, a time, or
`Decision.retry_on`, a happening); a reason that nothing lifts is final for its event.
"""

from __future__ import annotations

from controller.decision.answer import Decision as Decision
from controller.decision.answer import Happening as Happening
from controller.decision.answer import Outcome as Outcome
from controller.decision.answer import Reason as Reason
from controller.decision.decide import admissible as admissible
from controller.decision.decide import decide as decide
from controller.decision.decide import triggered as triggered
from controller.decision.hold import Refusal as Refusal
from controller.decision.hold import hold as hold
from controller.decision.outdated import OUTDATED as OUTDATED
from controller.decision.outdated import outdated as outdated
from controller.decision.situation import ASKED_AGAIN as ASKED_AGAIN
from controller.decision.situation import Bar as Bar
from controller.decision.situation import Frozen as Frozen
from controller.decision.situation import HoldFacts as HoldFacts
from controller.decision.situation import Holding as Holding
from controller.decision.situation import Shared as Shared
from controller.decision.situation import Situation as Situation
from controller.decision.situation import TriggerFacts as TriggerFacts
from controller.decision.situation import breaker_trips as breaker_trips
