"""What the engine goes by: the policy set in force and the installation's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controller.decision import Frozen
from controller.events.condition import Dataset, about_of, condition_id, named
from controller.events.event import Event
from controller.policy import DUE, Ambiguous, Bindings, Model, Policy, PolicySet
from controller.policy.calendar import share
from controller.policy.policy_set import selects
from controller.settings import Fleet, Sender
from controller.store.ledger import Ledger
from controller.store.ledger_rows import ModelKey
from controller.store.situation import Used, datasets_of

DEFAULT_NAMESPACE = "default"
_UNSAID = Sender()


@dataclass(frozen=True, slots=True)
class Rules:
    """The set in force, fleet limits, what is known of sources, and whom to tell.

    :ivar receivers: name → `webhook` | `cloudevents`; outcome events go to the latter.
    :ivar public_url: where people reach the pages; None: messages carry no link.
    """

    policies: PolicySet
    fleet: Fleet
    senders: Mapping[str, Sender] = field(default_factory=dict)
    receivers: Mapping[str, str] = field(default_factory=dict)
    public_url: str | None = None

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
        found = self.policies.model(event.namespace, event.subject_name)
        if isinstance(found, Ambiguous):
            return Model.bare(event.namespace or DEFAULT_NAMESPACE, event.subject_name), False, found.namespaces
        if found is None:
            return Model.bare(event.namespace or DEFAULT_NAMESPACE, event.subject_name), False, ()
        return found, True, ()

    def readers(self, event: Event) -> tuple[Model, ...]:
        """The models that an event about a dataset concerns."""
        return self.policies.readers(event.subject_name, event.namespace, event.feature)

    def announce(self, ledger: Ledger, event: Event) -> None:
        """Have the ledger know whom using the event will ask about."""
        models = (self.model_of(event)[0],) if event.model is not None else self.readers(event)
        ledger.load(
            [(model.namespace, model.name) for model in models],
            [dataset for model in models for dataset in datasets_of(model)],
        )
        if event.model is None:
            subject = about_of(event, "")
            assert isinstance(subject, Dataset)
            ledger.load((), [subject])

    def uses(self, ledger: Ledger, seq: int, event: Event) -> list[Used]:
        """The event as it stands for each model that it concerns: its own, or all that read its dataset."""
        if event.model is None:
            return [self.used_about(ledger, seq, event, model, known=True) for model in self.readers(event)]
        model, known, candidates = self.model_of(event)
        return [self.used_about(ledger, seq, event, model, known=known, candidates=candidates)]

    def used_for(self, ledger: Ledger, seq: int, event: Event, key: ModelKey) -> Used:
        """The event as it stands for one model that it concerned when it was used."""
        if event.model is not None:
            return self.uses(ledger, seq, event)[0]
        found = self.policies.model(*key)
        model = found if isinstance(found, Model) else Model.bare(*key)
        return self.used_about(ledger, seq, event, model, known=model.documented)

    def triggered(self, used: Used) -> tuple[Policy, ...]:
        """The policies that an event in use triggers for its model, in the order in which they are asked."""
        if used.event.model is None:
            return self.policies.triggered_via_dataset(used.event.type, used.model)
        if used.candidates:
            return ()
        if used.event.type == DUE:
            named = self.policies.policy(*str(used.event.data.get("policy")).partition("/")[::2])
            return (named,) if named and self.concerns(named, used) else ()
        return self.policies.triggered_by(used.event.type, *used.key, used.model if used.known else None)

    def concerns(self, policy: Policy, used: Used) -> bool:
        """Whether a policy still means the model, and events such as this about it."""
        if not selects(policy.models, used.model.name, used.model if used.known else None):
            return False
        event = used.event
        if event.type == DUE and not policy.triggers_of(event):
            return False
        if event.model is not None:
            return policy.models.via is None
        return policy.models.via == "dataset" and used.model.reads(event.subject_name, event.feature)

    def used_about(
        self, ledger: Ledger, seq: int, event: Event, model: Model, *, known: bool, candidates: tuple[str, ...] = ()
    ) -> Used:
        """The same where the model was settled before: a remediation goes on about the one it was decided for."""
        subject = about_of(event, model.namespace)
        ledger.load([(model.namespace, model.name)], [subject] if isinstance(subject, Dataset) else ())
        condition = None
        if event.family is not None and not event.over:
            id_ = condition_id(event.source, event.kind, *named(subject), event.family, event.about)
            condition = ledger.condition(subject, id_)
        state = ledger.state((model.namespace, model.name))
        bindings = Bindings.of(event, model, ledger.turn.now, state)
        return Used(seq, event, model, known, candidates, condition, bindings, state)

    def frozen(self, policy: Policy, model: Model, now: datetime, *, known: bool) -> tuple[Frozen, ...]:
        """The freezes that keep a policy from changing a model now."""
        if not self.policies.freezes or not policy.changing:
            return ()
        found = self.policies.frozen(model.namespace, model.name, model if known else None, now)
        own = model.namespace, model.name
        return tuple(
            Frozen(freeze.key, window.end, window.end + share(freeze.spread, *own)) for freeze, window in found
        )

    def policy(self, namespace: str, name: str) -> Policy | None:
        """The policy in force under this name."""
        return self.policies.policy(namespace, name)
