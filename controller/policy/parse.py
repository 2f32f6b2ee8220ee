"""Documents become policies and models; every fault of a document is found in one reading."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar

from controller.errors import ConfigError
from controller.events.scalars import is_name
from controller.policy.defaults import (
    BUILT_IN,
    Fallback,
    duration,
    ignores_quality,
    read_approval,
    read_defaults,
    read_known_good,
    read_limits,
    read_mode,
    read_severity,
    read_unless,
)
from controller.policy.digest import digest_of
from controller.policy.freeze import Freeze, read_freeze_window
from controller.policy.model import Input, Model
from controller.policy.reading import Fields, Place
from controller.policy.serving_keys import read_gitops, read_serving, read_version_names
from controller.policy.steps import read_steps
from controller.policy.triggers import read_triggers
from controller.policy.types import Correlate, ModelSelector, Policy

_Read = TypeVar("_Read", Policy, Model, Freeze)
_KEPT = 8192
_policies: dict[str, Policy] = {}
_models: dict[str, Model] = {}
_freezes: dict[str, Freeze] = {}


def read_policy(text: dict[str, Any]) -> tuple[Policy, list[str]]:
    """The policy that a document's text describes, and every fault (`spec.…: …`); use it only without faults."""
    faults: list[str] = []
    fallback = fallback_of(text.get("defaults"), faults)
    fields = Place(text["spec"], "spec", faults).fields("policy")
    models, triggers = fields.need("models", "names, matchLabels or via"), fields.need("triggers", "a list of triggers")
    ladder = fields.need("steps", "a list of steps")
    steps = read_steps(ladder, fallback) if ladder else ()
    guarded = any(step.changing for step in steps) and not ignores_quality(fields)
    metadata = text["metadata"]
    policy = Policy(
        namespace=metadata["namespace"],
        name=metadata["name"],
        digest=digest_of(text),
        text=text,
        mode=read_mode(fields, fallback.mode),
        severity=read_severity(fields, fallback.severity),
        models=_read_selector(models) if models else ModelSelector(),
        triggers=read_triggers(triggers) if triggers else (),
        wait=duration(fields, "wait", fallback.wait, zero=True),
        unless=read_unless(fields.get("unless"), fallback.unless if guarded else ()),
        limits=read_limits(fields, fallback.limits),
        approval_expires=read_approval(fields, fallback.approval_expires),
        steps=steps,
        correlate=_read_correlate(fields.at("correlate")) if "correlate" in fields else None,
        probation=duration(fields, "probation", fallback.probation, zero=True),
    )
    return _keep(policy, faults, _policies), faults


def read_model(text: dict[str, Any]) -> tuple[Model, list[str]]:
    """The model that a document's text describes, and every fault; use it only without faults."""
    faults: list[str] = []
    fields = Place(text["spec"], "spec", faults).fields("model")
    metadata = text["metadata"]
    baseline = _read_baseline(fields) if "baseline" in fields else {}
    model = Model(
        namespace=metadata["namespace"],
        name=metadata["name"],
        digest=digest_of(text),
        text=text,
        labels=metadata.get("labels", {}),
        baseline=baseline,
        serving=read_serving(fields),
        version_names=read_version_names(fields),
        gitops=read_gitops(fields),
        known_good=read_known_good(fields, fallback_of(text.get("defaults"), []).known_good),
        inputs=_read_inputs(fields.at("inputs")) if "inputs" in fields else (),
    )
    return _keep(model, faults, _models), faults


def read_freeze(text: dict[str, Any]) -> tuple[Freeze, list[str]]:
    """The freeze that a document's text describes, and every fault; use it only without faults."""
    faults: list[str] = []
    fields = Place(text["spec"], "spec", faults).fields("freeze")
    models, spread = fields.need("models", "names or matchLabels"), fields.get("spread")
    cron, length, once = read_freeze_window(fields)
    freeze = Freeze(
        namespace=text["metadata"]["namespace"],
        name=text["metadata"]["name"],
        digest=digest_of(text),
        text=text,
        models=_read_selector(models, "frozen models") if models else ModelSelector(),
        spread=spread.duration(zero=True) if spread else timedelta(),
        cron=cron,
        duration=length,
        once=once,
    )
    return _keep(freeze, faults, _freezes), faults


def fallback_of(spec: Any, faults: list[str]) -> Fallback:
    """What policies of a namespace fall back to: `spec` of its Defaults document, None where it has none."""
    return BUILT_IN if spec is None else read_defaults(Place(spec, "spec", faults))


def policy_from_text(text: dict[str, Any]) -> Policy:
    """The policy of a text that was in force once; ConfigError where this version cannot read it."""
    return _from_text(text, _policies, read_policy)


def model_from_text(text: dict[str, Any]) -> Model:
    """The model of a text that was in force once; ConfigError where this version cannot read it."""
    return _from_text(text, _models, read_model)


def freeze_from_text(text: dict[str, Any]) -> Freeze:
    """The freeze of a text that was in force once; ConfigError where this version cannot read it."""
    return _from_text(text, _freezes, read_freeze)


def known_policy(digest: str) -> Policy | None:
    """The policy of the text with this digest, where it was read lately: a digest has one text for ever."""
    return _policies.get(digest)


def known_model(digest: str) -> Model | None:
    """The model of the text with this digest, likewise."""
    return _models.get(digest)


def _from_text(
    text: dict[str, Any], kept: dict[str, _Read], read: Callable[[dict[str, Any]], tuple[_Read, list[str]]]
) -> _Read:
    digest = digest_of(text)
    found = kept.get(digest)
    if found is None:
        found, faults = read(text)
        if faults:
            raise ConfigError(tuple(f"{text['kind']} {found.key}: {fault}" for fault in faults))
    return found


def _keep(read: _Read, faults: list[str], kept: dict[str, _Read]) -> _Read:
    """Have what was read at hand under its digest, where it is good."""
    if not faults:
        if len(kept) >= _KEPT:
            kept.clear()
        kept[read.digest] = read
    return read


def _read_selector(place: Place, kind: str = "models") -> ModelSelector:
    fields = place.fields(kind)
    names, labels, unknown = fields.get("names"), fields.get("matchLabels"), fields.get("unknown")
    via: Literal["dataset"] | None = fields.at("via").one_of("dataset") if "via" in fields else None
    if not names and not labels and not via:
        place.refuse("want names, matchLabels or via" if kind == "models" else "want names or matchLabels")
    choice: Literal["record", "act"] = unknown.one_of("record", "act") if unknown else "record"
    if unknown and choice == "act" and via:
        unknown.refuse("an unknown model reads no dataset, leave it out")
    elif unknown and choice == "act" and not names and labels:
        unknown.refuse("want names beside it: an unknown model has no labels")
    globs = tuple(item.text("a model's name or a glob") for item in names.items("names of models")) if names else ()
    return ModelSelector(globs, _read_labels(labels) if labels else {}, choice, via)


def _read_inputs(place: Place) -> tuple[Input, ...]:
    found: list[Input] = []
    for item in place.items("datasets"):
        fields = item.fields("input")
        name, features = fields.need("dataset", "a dataset's name"), fields.get("features")
        if name and not is_name(name.value):
            name.want("a name (letters, digits, ._:@+/- and spaces, at most 253)")
        elif name and any(name.value == own.dataset for own in found):
            name.refuse(f'want each dataset once, "{name.value}" stands twice')
        globs = (
            [glob.text("a feature's name or a glob") for glob in features.items("names of features")]
            if features
            else []
        )
        found.append(Input(str(name.value) if name else "", tuple(globs)))
    return tuple(found)


def _read_correlate(place: Place) -> Correlate | None:
    fields = place.fields("correlate")
    by, models = fields.need("by", "dataset or feature"), fields.need("models", "a whole number of 2 or more")
    within = fields.need("within", "a duration")
    if not by or not models or not within:
        return None
    return Correlate(by.one_of("dataset", "feature"), models.whole(2), within.duration())


def _read_labels(place: Place) -> dict[str, str]:
    labels = {key: label.text("a string") for key, label in place.entries("labels")}
    if place.value == {}:
        place.want("a map of labels")
    return labels


def _read_baseline(fields: Fields) -> dict[str, float]:
    baseline: dict[str, float] = {}
    for metric, place in fields.at("baseline").entries("numbers"):
        if isinstance(place.value, dict) and "registry" in place.value:
            place.refuse("a metric of the registry is not supported yet, want a number")
        else:
            baseline[metric] = place.number()
    return baseline
