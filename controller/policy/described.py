"""What each key of a document means and what it may hold: the source of the schemas that a cluster is given.

The parser stays the judge; this says the part of its rules that a schema can say, and the
sentences for `kubectl explain`. Tests hold both equal: keys, words, defaults.

A default is only described, never given to the API server: it would write it into the
document, and a namespace's Defaults could not change it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Schema = dict[str, Any]
"""A piece of a structural OpenAPI v3 schema; `{"object": name}` stands for one of OBJECTS."""

MOST = 256
"""Items of a list, at most."""
DURATION = "^(0|{})$".format("".join(f"([0-9]{{1,12}}{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")))


@dataclass(frozen=True, slots=True)
class Key:
    """One key: a sentence or two, its shape, and as it is written what holds where it is not."""

    says: str
    shape: Schema = field(repr=False)
    default: str | None = None
    required: bool = False

    @property
    def description(self) -> str:
        """The sentences that people read."""
        return self.says if self.default is None else f"{self.says} Default: {self.default}."


def _text(**bounds: Any) -> Schema:
    return {"type": "string", "minLength": 1, **bounds}


def _one_of(*words: Any) -> Schema:
    return {"type": "boolean" if words == (True,) else "string", "enum": list(words)}


def _whole(least: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": 1_000_000_000}


def _object(name: str) -> Schema:
    return {"object": name}


def _list(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": MOST, "items": items}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


_DURATION: Schema = {"type": "string", "minLength": 1, "pattern": DURATION}
_EXPRESSION = _text()
_FLAG: Schema = {"type": "boolean"}
_ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}
"""No type: the value is a string or `{expr: …}`, or JSON of the writer's own."""

_ARGUMENT = "a string or {expr: EXPRESSION}"
_SETTLE = Key("After the action's end nothing is asked for so long.", _DURATION, "10m")
_FOR = Key("What is found, recovered or worse, must hold for so long.", _DURATION, "5m")
_WITHIN = Key("The deadline, from the action's end; longer than settle and for together.", _DURATION, "4h")
_MODE = Key(
    "audit decides and records only, approve asks a person before each step that changes something, enforce acts.",
    _one_of("audit", "approve", "enforce"),
    "audit",
)
_SEVERITY = Key("The worst is asked first, and notifications carry it.", _one_of("P1", "P2", "P3", "P4"), "P2")
_WAIT = Key("Once a trigger is true, wait so long for what else comes, then ask the guards once.", _DURATION, "0s")
_PROBATION = Key(
    "A trigger that becomes true again so soon after it helped goes on with the step below.", _DURATION, "24h"
)
_UNLESS = Key(
    "Conditions under which nothing is done. They join the default, an open ml.data.quality.failed and six hours "
    "after it before steps that change; an entry of that type without `when` takes its place.",
    _list(_object("inhibition")),
)
_DATA_QUALITY = Key("ignore turns the default `unless` off; nothing else does.", _one_of("ignore"))
_LIMITS = Key("What holds remediations back.", _object("limits"))
_KNOWN_GOOD = Key("Which version of a model counts as known to be good.", _object("lastKnownGood"))
_APPROVAL = Key("How a person is asked.", _object("approval"))
_TIME_ZONE = Key("An IANA time zone, as Europe/Rome.", _text(), "Etc/UTC")
_CRON = Key(
    "Minute, hour, day of the month, month, day of the week, as Debian's cron has them, with L, LW, 5L and MON#2.",
    _text(maxLength=100),
    required=True,
)
_TEMPLATE = Key("The WorkflowTemplate, of the document's own namespace.", _object("reference"), required=True)


def _timeout(of: str, default: str) -> Key:
    return Key(f"{of} that takes longer is stopped, and has failed.", _DURATION, default)


_ACTIONS: Mapping[str, Mapping[str, Key]] = {
    "workflow": {
        "workflowTemplateRef": _TEMPLATE,
        "parameters": Key(
            f"Parameters of the Workflow; each value is {_ARGUMENT} and arrives as a string.", _map(_ANYTHING)
        ),
        "outputs": Key("The names of the global outputs in which the Workflow reports.", _object("outputs")),
        "timeout": _timeout("A Workflow", "6h"),
    },
    "reference": {"name": Key("Its name.", _text(maxLength=253), required=True)},
    "outputs": {
        "version": Key("Names the version that it made.", _text(), "model-version"),
        "verdict": Key("Says promoted or refused.", _text(), "verdict"),
    },
    "job": {
        "cronJobRef": Key("The CronJob, of the policy's own namespace.", _object("reference"), required=True),
        "env": Key(
            f"Variables for its containers; each value is {_ARGUMENT}. MODELMEND_* are set by modelmend.",
            _map(_ANYTHING),
        ),
        "timeout": _timeout("A Job", "6h"),
    },
    "rollout": {
        "abort": Key("Bring all traffic back to the stable version.", _one_of("canary")),
        "promote": Key("canary: on to the next step; full: all traffic to the new version.", _one_of("canary", "full")),
        "pause": Key("Hold the rollout where it is.", _one_of(True)),
        "restart": Key("Start its pods anew.", _one_of(True)),
        "to": Key(f"Set this version, where the Model says that it is written: {_ARGUMENT}.", _ANYTHING),
        "timeout": _timeout("A change", "30m"),
    },
    "command": {
        "argv": Key(
            f"The program, as a string, and its arguments, each {_ARGUMENT}. There is no shell.",
            _list(_ANYTHING),
            required=True,
        ),
        "timeout": _timeout("A process", "15m"),
        "idempotent": Key("true: may be run again where a crash left its fate unknown.", _FLAG, "false"),
        "env": Key(f"Variables; each value is {_ARGUMENT}. MODELMEND_* are set by modelmend.", _map(_ANYTHING)),
        "cwd": Key("The folder that it runs in; else the server's.", _text()),
    },
    "request": {
        "url": Key("http or https. Where a request goes never depends on an event.", _text(), required=True),
        "method": Key("The HTTP method.", _one_of("POST", "PUT", "PATCH"), "POST"),
        "headers": Key(f"Headers; each value is {_ARGUMENT}. Idempotency-Key is set by modelmend.", _map(_ANYTHING)),
        "body": Key("JSON in which {expr: EXPRESSION} may stand for any value.", _ANYTHING),
        "timeout": _timeout("What, with all its attempts,", "15m"),
    },
    "page": {"receiver": Key("A receiver of the server's settings.", _text(), "default")},
}

_VERIFICATIONS: Mapping[str, Mapping[str, Key]] = {
    "rollout verification": {
        "rollout": Key(
            "promoted: all traffic is on the new version and healthy; stable: all of it is on the stable one.",
            _one_of("promoted", "stable"),
        ),
        "every": Key("How often is looked; shorter than within.", _DURATION, "5s"),
        "within": _WITHIN,
    },
    "command verification": {
        "command": Key(
            "A program that exits 0 and whose last line is recovered, unchanged or worse.", _object("verifying command")
        ),
        "every": Key("How often is looked; shorter than within.", _DURATION, "1m"),
        "settle": _SETTLE,
        "for": _FOR,
        "within": _WITHIN,
    },
    "verifying command": {
        "argv": _ACTIONS["command"]["argv"],
        "timeout": _timeout("A process", "15m"),
        "env": _ACTIONS["command"]["env"],
        "cwd": _ACTIONS["command"]["cwd"],
    },
    "query verification": {
        "query": Key(
            "A PromQL query with exactly one number for an answer. $model, $namespace and $version, which is the one "
            "that the action reported, stand in its strings.",
            _text(maxLength=4096),
        ),
        "recovered": Key(
            "A CEL expression over value, before (the version before, mean over `for` when the step began) and stable "
            "(the stable version now). Required with query.",
            _EXPRESSION,
        ),
        "worse": Key("Likewise: after this the step's onWorse is done.", _EXPRESSION),
        "pushTime": Key(
            "For pushed metrics: a query for the time of the push in seconds, as push_time_seconds has it. Only what "
            "was pushed after the action counts.",
            _text(maxLength=4096),
        ),
        "every": Key("How often is looked; shorter than within.", _DURATION, "1m"),
        "settle": _SETTLE,
        "for": _FOR,
        "within": _WITHIN,
    },
    "report verification": {
        "report": Key(
            "The next report of a detector about a metric whose window began after the action.", _object("report")
        ),
        "recovered": Key(
            "A CEL expression over value and before; else an event that it is over is recovered.", _EXPRESSION
        ),
        "worse": Key("Likewise: after this the step's onWorse is done.", _EXPRESSION),
        "within": _WITHIN,
    },
    "report": {"metric": Key("Its name, as senders write it.", _text(), required=True)},
    "analysis verification": {
        "analysis": Key("An AnalysisRun of Argo Rollouts that must be successful.", _object("analysis")),
        "every": Key("How often is looked; shorter than within.", _DURATION, "15s"),
        "within": _WITHIN,
    },
    "analysis": {
        "templateName": Key(
            "The AnalysisTemplate, of the policy's own namespace.", _text(maxLength=253), required=True
        ),
        "args": Key(f"Its arguments, beside those that it gives itself; each value is {_ARGUMENT}.", _map(_ANYTHING)),
    },
    "quiet verification": {
        "quiet": Key(
            "For so long no event that meets the trigger came, while its source showed life for the model.", _DURATION
        ),
        "settle": _SETTLE,
        "within": _WITHIN,
    },
    "resolved verification": {
        "resolved": Key(
            "{}: every condition of the evidence was ended by an event after the action.",
            {"type": "object", "maxProperties": 0},
        ),
        "settle": _SETTLE,
        "for": _FOR,
        "within": _WITHIN,
    },
}

_POLICY: Mapping[str, Mapping[str, Key]] = {
    "policy": {
        "mode": _MODE,
        "severity": _SEVERITY,
        "models": Key(
            "Which models of the policy's namespace: names, matchLabels or via.", _object("models"), required=True
        ),
        "triggers": Key("What starts it: any of these.", _list(_object("trigger")), required=True),
        "wait": _WAIT,
        "unless": _UNLESS,
        "dataQuality": _DATA_QUALITY,
        "limits": _LIMITS,
        "approval": _APPROVAL,
        "correlate": Key(
            "When many models mean one cause: people are told once, and nothing is done for any of them.",
            _object("correlate"),
        ),
        "probation": _PROBATION,
        "steps": Key(
            "A ladder: the next step is taken when one failed or did not help.", _list(_object("step")), required=True
        ),
    },
    "models": {
        "names": Key("Names or globs (*, ?, [a-z]), any of which fits.", _list(_text())),
        "matchLabels": Key("Labels that the Model must all carry.", _map({"type": "string"})),
        "via": Key(
            "dataset: it is triggered by what is said of a dataset, once for each such model that names it under "
            "inputs, and not by what is said of a model.",
            _one_of("dataset"),
        ),
        "unknown": Key(
            "What to do about a model without a document: record its events, or act; act needs names.",
            _one_of("record", "act"),
            "record",
        ),
    },
    "trigger": {
        "name": Key("What decisions call it; else its type. Unique in the policy.", _text(maxLength=253)),
        "type": Key(
            "An event type, built in or registered in the server's settings. Required but for schedule and since.",
            _text(),
        ),
        "when": Key("A CEL expression over event, data, model and now; else true.", _EXPRESSION),
        "sustained": Key("The event's condition must be open for so long.", _DURATION),
        "count": Key("So many events for which `when` is true.", _object("count")),
        "distinct": Key("So many different values among such events.", _object("distinct")),
        "sum": Key("So much together of a number in such events.", _object("sum")),
        "consecutive": Key("Such events in so many periods of a calendar without a break.", _object("consecutive")),
        "schedule": Key("Instead of an event: due by a calendar, for every model selected.", _object("schedule")),
        "since": Key(
            "Instead of an event: due so long after the model's last training or deployment.", _object("since")
        ),
        "require": Key("Conditions that must be there too.", _list(_object("corroboration"))),
    },
    "count": {
        "atLeast": Key("How many.", _whole(1), required=True),
        "within": Key("In which time, by the events' own times.", _DURATION, required=True),
    },
    "distinct": {
        "of": Key("The CEL expression whose different values are counted.", _EXPRESSION, required=True),
        "atLeast": Key("How many.", _whole(1), required=True),
        "within": Key("In which time, by the events' own times.", _DURATION, required=True),
    },
    "sum": {
        "of": Key("The CEL expression that is summed, a number of 0 or more.", _EXPRESSION, required=True),
        "atLeast": Key("How much.", {"type": "number", "minimum": 0}, required=True),
        "within": Key("In which time, by the events' own times.", _DURATION, required=True),
    },
    "consecutive": {
        "periods": Key("How many.", _whole(1), required=True),
        "every": Key("How long a period is: a part of a day in whole minutes, 1d, or 1w from Monday.", _DURATION, "1d"),
        "timeZone": _TIME_ZONE,
        "missing": Key(
            "break: a period without such an event ends the count; ignore: not where neither an event of the type "
            "nor ml.monitor.checked came for the model in it.",
            _one_of("break", "ignore"),
            "break",
        ),
    },
    "schedule": {
        "cron": _CRON,
        "timeZone": _TIME_ZONE,
        "spread": Key("Each model is due its own share of it later.", _DURATION, "0s"),
    },
    "since": {
        "last": Key("From when is counted.", _one_of("training", "deployment"), required=True),
        "atLeast": Key("How long after it, and each time so long again.", _DURATION, required=True),
    },
    "corroboration": {
        "type": Key("An event type.", _text(), required=True),
        "when": Key("A CEL expression over the newest event of the condition; else true.", _EXPRESSION),
        "within": Key(
            "Also met where the condition was last seen at most so long ago. Without it it must be open.", _DURATION
        ),
        "versions": Key("With any, what is said of a version that no longer serves counts too.", _one_of("any")),
    },
    "inhibition": {
        "type": Key("An event type.", _text(), required=True),
        "when": Key("A CEL expression over the newest event of the condition; else true.", _EXPRESSION),
        "within": Key("Holds so long after its end. Without it only while it is open or unknown.", _DURATION),
    },
    "limits": {
        "cooldown": Key(
            "Least time from the end of one changing remediation of the model to the next, whichever policies made "
            "them.",
            _DURATION,
            "24h",
        ),
        "budget": Key("Most decisions to remediate the model.", _object("budget"), "{max: 2, within: 7d}"),
        "breaker": Key(
            "After so many remediations that did not help: none, until a person runs `modelmend resume`.",
            _object("breaker"),
            "{failures: 2, within: 14d}",
        ),
        "maxAge": Key("What was last seen longer ago is stale and starts nothing.", _DURATION, "48h"),
        "minSamples": Key("Least sampleCount of drift and performance events that carry a number.", _whole(0), "0"),
        "scope": Key(
            "model: remediations of all policies count; policy: only this policy's own.",
            _one_of("model", "policy"),
            "model",
        ),
    },
    "budget": {
        "max": Key("How many at most.", _whole(1), required=True),
        "within": Key("In which time.", _DURATION, required=True),
    },
    "breaker": {
        "failures": Key("How many that did not help.", _whole(1), required=True),
        "within": Key("In which time.", _DURATION, required=True),
    },
    "correlate": {
        "by": Key(
            "What is taken for one cause: the same dataset, or the same feature.",
            _one_of("dataset", "feature"),
            required=True,
        ),
        "models": Key("How many models must meet a trigger.", _whole(2), required=True),
        "within": Key("In which time; the policy's wait should not be shorter.", _DURATION, required=True),
    },
    "approval": {"expires": Key("Without an answer for so long it is a no.", _DURATION, "24h")},
    "step": {
        "name": Key("Unique in the policy.", _text(maxLength=253), required=True),
        "workflow": Key("Run an Argo Workflow from a WorkflowTemplate.", _object("workflow")),
        "job": Key("Run a Job from a CronJob's template.", _object("job")),
        "rollout": Key("Change the Model's serving object: one of its keys, beside timeout.", _object("rollout")),
        "command": Key("Run a local process of the server; not with a PostgreSQL store.", _object("command")),
        "request": Key("Make an HTTP call under an idempotency key; any 2xx is done.", _object("request")),
        "page": Key("Tell people; only as the last step.", _object("page")),
        "approve": Key("true: ask a person before this step, whatever the mode.", _FLAG, "false"),
        "verify": Key(
            "How to prove that it helped: a list, taken in order, each entry exactly one of rollout, query, report, "
            "analysis, command, quiet and resolved; or the word none. Required but for page.",
            {**_ANYTHING, "maxItems": MOST, "items": _object("verification")},
        ),
        "confirm": Key("Labels that come late have the last word; it needs verify.", _object("confirm")),
        "onWorse": Key(
            "What follows a verification's worse: what served before is brought back, or it stops; people are told.",
            _one_of("stop", "restore"),
            "restore where a workflow, or a rollout by to or promote, changed what serves, else stop",
        ),
    },
    "confirm": {
        "metric": Key("Of the performance events that tell.", _text(), required=True),
        "within": Key("After so long without a word it is unknown whether it helped.", _DURATION, required=True),
    },
    "expression": {"expr": Key("A CEL expression, whose value stands here.", _EXPRESSION, required=True)},
}

_OTHERS: Mapping[str, Mapping[str, Key]] = {
    "model": {
        "baseline": Key("Numbers to measure against, as model.baseline.f1 in expressions.", _map({"type": "number"})),
        "serving": Key("The object that serves it, of the Model's own namespace.", _object("serving")),
        "versionNames": Key(
            "How senders write a version, each with {version} in it: the first that fits names the version.",
            _list(_text()),
        ),
        "gitops": Key(
            "How to change what Git decides: by a Workflow, or, with the word ignored, in the cluster all the same. "
            "Without it an object that Argo CD or Flux manages is not touched.",
            {**_ANYTHING, "object": "gitops"},
        ),
        "inputs": Key("The datasets that it reads: what is wrong with one is wrong for it.", _list(_object("input"))),
        "lastKnownGood": _KNOWN_GOOD,
    },
    "lastKnownGood": {
        "soak": Key(
            "How long a version must have been stable, with a live detector and no open performance condition, to "
            "count as good.",
            _DURATION,
            "72h",
        ),
        "maxAge": Key("So long after it last served it is gone back to without asking a person.", _DURATION, "60d"),
    },
    "input": {
        "dataset": Key("Its name, as senders write it in data.dataset.", _text(maxLength=253), required=True),
        "features": Key("Names or globs of the features that it reads; else all.", _list(_text())),
    },
    "serving": {
        "kind": Key("Its kind.", _one_of("Rollout", "Deployment"), required=True),
        "name": Key("Its name.", _text(maxLength=253), required=True),
        "version": Key(
            "Where in its pods the version is written: one of image, env and label.", _object("serving version")
        ),
    },
    "serving version": {
        "image": Key("The container's image, with {version} in it.", _text()),
        "env": Key("A variable of the container.", _text()),
        "label": Key("A label of the pods.", _text()),
        "container": Key("Which container; else each in which the version stands there.", _text()),
    },
    "gitops": {
        "workflowTemplateRef": _TEMPLATE,
        "parameters": Key("Parameters of the Workflow, beside the version.", _map({"type": "string"})),
    },
    "defaults": {
        "mode": _MODE,
        "severity": _SEVERITY,
        "wait": _WAIT,
        "unless": _UNLESS,
        "dataQuality": _DATA_QUALITY,
        "limits": _LIMITS,
        "approval": _APPROVAL,
        "timeout": Key("How long actions may take.", _object("timeout")),
        "settle": _SETTLE,
        "for": _FOR,
        "within": _WITHIN,
        "lastKnownGood": _KNOWN_GOOD,
        "probation": _PROBATION,
    },
    "freeze": {
        "models": Key(
            "Which models of its namespace: names or matchLabels, or both.", _object("frozen models"), required=True
        ),
        "cron": replace(_CRON, says=f"When it begins, again and again; with duration. {_CRON.says}", required=False),
        "duration": Key("How long it lasts; with cron.", _DURATION),
        "start": Key("When it begins, once, as 2026-12-20T18:00 (of timeZone) or with an offset; with end.", _text()),
        "end": Key("When it ends, likewise; with start.", _text()),
        "timeZone": _TIME_ZONE,
        "spread": Key(
            "What fell due in it is asked after its end, each model its own share of this later.", _DURATION, "0s"
        ),
    },
    "frozen models": {name: _POLICY["models"][name] for name in ("names", "matchLabels")},
    "timeout": {
        "command": Key("Of commands, also those that verify.", _DURATION, "15m"),
        "request": Key("Of requests.", _DURATION, "15m"),
        "workflow": Key("Of workflows.", _DURATION, "6h"),
        "job": Key("Of jobs.", _DURATION, "6h"),
        "rollout": Key("Of changes to the serving object.", _DURATION, "30m"),
    },
}

OBJECTS: Mapping[str, Mapping[str, Key]] = {**_POLICY, **_ACTIONS, **_VERIFICATIONS, **_OTHERS}
"""The keys of every object, named as `keys.KEYS` names them."""

VERIFICATIONS = tuple(name for name in _VERIFICATIONS if name.endswith(" verification"))
"""What an entry of `verify` may be: in a schema one object with the keys of all, which `verification` means."""
