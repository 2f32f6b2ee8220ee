"""Every metric, declared once: name, labels and help stand here and nowhere else.

Closed label sets are created at zero, so that the first failure is a change from 0 and
not a series that appears from nowhere (`rate()` sees nothing of those). Nothing is
labelled by an id. A `source` that the settings do not name is counted under `other`:
what a sender writes must not decide how many series there are.

There is no `modelmend_budget_remaining`: budgets are counted for each model, so no one
figure for a policy would be true. `modelmend explain` and the decision's values say
what was left for the model asked about.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.process_collector import ProcessCollector

INVALID_REASONS = ("malformed", "schema", "unknown_type", "media_type")
REFUSED_STATUSES = ("400", "401", "403", "404", "405", "409", "413", "415", "422", "429", "431", "500", "503")
UNASKED = ("unknown_model", "internal_error", "poison")  # decided without asking any policy
OTHER_STATUS = "other"
PHASES = ("Pending", "AwaitingApproval", "Running", "Verifying", "Stopping")
ENDED_PHASES = ("Succeeded", "Failed", "Escalated", "Cancelled", "Audited")
ACTIONS = ("workflow", "job", "rollout", "command", "request", "page")
RECONCILE_ERRORS = ("temporary", "conflict", "permanent", "internal")
SENT_RESULTS = ("sent", "failed")
KUBE_VERBS = ("get", "list", "watch", "create", "patch", "apply", "delete")
RELOAD_RESULTS = ("changed", "unchanged", "refused", "failed")
OUTCOMES = ("remediate", "suppress", "none")
OTHER_SOURCE = "other"

_COMMIT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_COMMIT_EVENTS = (1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000)
_DECIDE_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.02, 0.1, 1.0)
_REMEDIATION_SECONDS = (1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 3 * 86400)

# A `_created` series beside each counter and histogram would double what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics of one process, in a registry of their own.

    Counters and histograms are counted where the thing happens. Gauges marked "read"
    are best given a callable by the composition root: `metrics.backlog.set_function(…)`.
    """

    def __init__(self, *, version: str, sources: Iterable[str] = (), receivers: Iterable[str] = ()) -> None:
        """`sources`: the CloudEvents sources that settings name; `receivers`: the names of `receivers`."""
        self.registry = CollectorRegistry()
        self._sources = frozenset(sources)
        ProcessCollector(registry=self.registry)

        # Intake: counted by the receiver and the writer.
        self.events_received = self._counter(
            "events_received", "Valid events stored for the first time, by CloudEvents source.", "source"
        )
        self.events_duplicate = self._counter("events_duplicate", "Deliveries of an event that was stored already.")
        self.events_conflicting = self._counter(
            "events_conflicting", "Deliveries under a known source and id with other content; the first stays."
        )
        self.events_invalid = self._counter("events_invalid", "Events refused as invalid, by what was wrong.", "reason")
        self.requests_refused = self._counter(
            "requests_refused", "HTTP requests answered with an error, by status.", "status"
        )
        self.intake_commit_seconds = self._histogram(
            "intake_commit_seconds", "Seconds that one durable commit of received events took.", _COMMIT_SECONDS
        )
        self.intake_commit_events = self._histogram(
            "intake_commit_events", "Events that shared one durable commit.", _COMMIT_EVENTS
        )
        self.backlog = self._gauge("backlog_events", "Events stored and not yet decided.")

        # Deciding: counted by the engine after its commit.
        self.decisions = self._counter(
            "decisions",
            "Decisions by policy (namespace/name; empty: no policy matched), outcome and reason.",
            "policy",
            "outcome",
            "reason",
        )
        self.decide_seconds = self._histogram(
            "decide_seconds", "Seconds that deciding one event took, all its policies together.", _DECIDE_SECONDS
        )
        self.conditions_open = self._gauge("conditions_open", "Conditions that are open now.")
        self.questions_open = self._gauge("questions_open", "Refused events that will be asked again.")

        # Remediations: counted by the engine after its commit.
        self.remediations = self._counter(
            "remediations",
            "Remediations that ended, by policy (namespace/name), last action started (empty: none) and phase.",
            "policy",
            "action",
            "phase",
        )
        self.remediations_active = self._gauge(
            "remediations_active", "Remediations that are not over, by phase.", "phase"
        )
        self.remediation_duration_seconds = self._histogram(
            "remediation_duration_seconds",
            "Seconds from decision to end of enforced remediations.",
            _REMEDIATION_SECONDS,
        )
        self.reconcile_errors = self._counter(
            "reconcile_errors", "Errors while reconciling remediations or deciding events, by kind.", "kind"
        )

        # Outbox and quarantine.
        self.outbox_pending = self._gauge("outbox_pending", "Notifications written and not yet delivered.")
        self.outbox_sent = self._counter(
            "outbox_sent", "Attempts to deliver a notification, by receiver and result.", "receiver", "result"
        )
        self.outbox_dead = self._counter("outbox_dead", "Notifications given up after a day of attempts.")
        self.quarantine_items = self._gauge("quarantine_items", "Distinct items in quarantine.")
        self.quarantine_evicted = self._counter(
            "quarantine_evicted", "Items that a full quarantine dropped; anything above 0 deserves an alert."
        )

        # The cluster: counted by the client of its API.
        self.kube_requests = self._counter(
            "kube_requests",
            "Requests to the Kubernetes API, by verb and HTTP status (none: no answer).",
            "verb",
            "code",
        )

        # The process.
        self.policies_in_force = self._gauge("policies_in_force", "Policies of the set in force.")
        self.documents_refused = self._gauge("documents_refused", "Documents refused by the last reading.")
        self.reloads = self._counter("reloads", "Readings of the policy documents, by result.", "result")
        self.leader = self._gauge("leader", "1 while this process decides for its database, else 0.")
        self.build_info = self._gauge("build_info", "Always 1; the version is in the label.", "version")

        self._create_closed(version, tuple(receivers))

    def source_label(self, source: str) -> str:
        """The label for a CloudEvents `source`: itself where the settings name it, else `other`."""
        return source if source in self._sources else OTHER_SOURCE

    def policies_known(self, names: Iterable[str]) -> None:
        """Create the counters of policies (`namespace/name`) that came into force, at zero."""
        for name in names:
            self.decisions.labels(name, "remediate", "")
            for phase in ENDED_PHASES:
                self.remediations.labels(name, "", phase)

    def request_refused(self, status: int) -> None:
        """Count a request answered with an error; a status that is none of the known ones is `other`."""
        text = str(status)
        self.requests_refused.labels(text if text in REFUSED_STATUSES else OTHER_STATUS).inc()

    def kube_request(self, verb: str, code: str) -> None:
        """Count a request to the Kubernetes API."""
        self.kube_requests.labels(verb, code).inc()

    def set_active(self, phases: dict[str, int]) -> None:
        """Set the remediations that are not over, counted by phase; phases not named become 0."""
        for phase in PHASES:
            self.remediations_active.labels(phase).set(phases.get(phase, 0))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition for an `Accept` header, and its content type; plain text where that is not understood."""
        try:
            encoder, content_type = choose_encoder(accept)
            return encoder(self.registry), content_type
        except (ValueError, TypeError):  # a version in the header that is none
            return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _create_closed(self, version: str, receivers: tuple[str, ...]) -> None:
        for source in (*sorted(self._sources), OTHER_SOURCE):
            self.events_received.labels(source)
        for reason in INVALID_REASONS:
            self.events_invalid.labels(reason)
        for status in (*REFUSED_STATUSES, OTHER_STATUS):
            self.requests_refused.labels(status)
        for kind in RECONCILE_ERRORS:
            self.reconcile_errors.labels(kind)
        for result in RELOAD_RESULTS:
            self.reloads.labels(result)
        for verb in KUBE_VERBS:
            self.kube_requests.labels(verb, "none")
        for receiver in receivers:
            for result in SENT_RESULTS:
                self.outbox_sent.labels(receiver, result)
        self.decisions.labels("", "none", "no_policy_matched")
        for reason in UNASKED:
            self.decisions.labels("", "suppress", reason)
        self.set_active({})
        self.build_info.labels(version).set(1)

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"modelmend_{name}_total", help_, labels, registry=self.registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(f"modelmend_{name}", help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"modelmend_{name}", help_, buckets=buckets, registry=self.registry)
