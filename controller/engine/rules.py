"""What the engine goes by: the policy set in force and the installation's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from controller.events.condition import condition_id
from controller.events.event import Event
from controller.policy import Ambiguous, Bindings, Model, Policy, PolicySet
from controller.settings import Fleet, Sender
from controller.store.ledger import Ledger
from controller.store.situation import Used

DEFAULT_NAMESPACE = "default"
_UNSAID = Sender()


@dataclass(frozen=True, slots=True)
class Rules:
    """The set in force, fleet limits, what is known of sources, and whom to tell.

    :ivar receivers: name → `webhook` | `cloudevents`; outcome events go to the latter.
    """

    policies: PolicySet
    fleet: Fleet
    senders: Mapping[str, Sender] = field(default_factory=dict)
    receivers: Mapping[str, str] = field(default_factory=dict)

    def with_policies(self, policies: PolicySet) -> Rules:
        """The same with another set in force."""
        return replace(self, policies=policies)

    @property
    def fleet_limit(self) -> int:
        """How many enforced remediations may be active at once."""
        return self.fleet.limit(len(self.policies.models))

    def expires(self, source: str) -> timedelta:
        """After what time without renewal a condition of this source is unknown."""
        return self.senders.get(source, _UNSAID).lasts

    def model_of(self, event: Event) -> tuple[Model, bool, tuple[str, ...]]:
        """The model that an event is about, whether it has a document, and the namespaces where several have it."""
        found = self.policies.model(event.namespace, event.model)
        if isinstance(found, Ambiguous):
            return Model.bare(event.namespace or DEFAULT_NAMESPACE, event.model), False, found.namespaces
        if found is None:
            return Model.bare(event.namespace or DEFAULT_NAMESPACE, event.model), False, ()
        return found, True, ()

    def used(self, ledger: Ledger, seq: int, event: Event) -> Used:
        """The event with its model and its condition as they stand; the ledger must have loaded the model."""
        model, known, candidates = self.model_of(event)
        return self.used_about(ledger, seq, event, model, known=known, candidates=candidates)

    def used_about(
        self, ledger: Ledger, seq: int, event: Event, model: Model, *, known: bool, candidates: tuple[str, ...] = ()
    ) -> Used:
        """The same where the model was settled before: a remediation goes on about the one it was decided for."""
        key = (model.namespace, model.name)
        condition = None
        if event.family is not None and not event.over:
            id_ = condition_id(event.source, "model", *key, event.family, event.about)
            condition = ledger.condition(key, id_)
        bindings = Bindings.of(event, model, ledger.turn.now)
        return Used(seq, event, model, known, candidates, condition, bindings)

    def policy(self, namespace: str, name: str) -> Policy | None:
        """The policy in force under this name."""
        return self.policies.policy(namespace, name)
