"""The policies and models in force, indexed: an event meets only those that it can matter to.

A lookup costs the same with 10 policies and with 1,000: exact names are found in a
dictionary, and which globs and labels select a model is worked out once per model and kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import translate

from controller.events.types import MONITOR_CHECKED
from controller.policy.digest import digest_of
from controller.policy.document import Document
from controller.policy.freeze import Freeze, Window
from controller.policy.model import Ambiguous, Model
from controller.policy.types import ModelSelector, Policy

_REMEMBERED = 16_384


def selects(selector: ModelSelector, name: str, model: Model | None) -> bool:
    """Whether a selector means this model; one without a document (None) has no labels."""
    if selector.names and not any(_glob(pattern).fullmatch(name) for pattern in selector.names):
        return False
    labels = model.labels if model else {}
    return all(labels.get(key) == value for key, value in selector.match_labels.items())


class _Index:
    """Policies by event type and namespace, then by what selects models."""

    __slots__ = ("_exact", "_remembered", "_wide")

    def __init__(self, entries: Iterable[tuple[str, Policy]]) -> None:
        exact: dict[tuple[str, str, str], list[Policy]] = defaultdict(list)
        wide: dict[tuple[str, str], list[Policy]] = defaultdict(list)
        for kind, policy in entries:
            if _only_exact(policy.models):
                for name in set(policy.models.names):
                    exact[kind, policy.namespace, name].append(policy)
            else:
                wide[kind, policy.namespace].append(policy)
        self._exact = {key: _ordered(found) for key, found in exact.items()}
        self._wide = {key: (_ordered(found), _any_glob(found)) for key, found in wide.items()}
        self._remembered: dict[tuple[str, str, str, str], tuple[Policy, ...]] = {}

    def find(self, kind: str, namespace: str, name: str, model: Model | None) -> tuple[Policy, ...]:
        exact = self._exact.get((kind, namespace, name), ())
        wide = self._wide.get((kind, namespace))
        if wide is None:
            return exact
        key = (kind, namespace, name, model.digest if model else "")
        found = self._remembered.get(key)
        if found is None:
            policies, names = wide
            met = names is None or names.match(name)  # one look for a model that no policy means
            selected = tuple(policy for policy in policies if selects(policy.models, name, model)) if met else ()
            found = _ordered((*exact, *selected)) if exact else selected
            if len(self._remembered) >= _REMEMBERED:  # a flood of invented names must not fill memory
                self._remembered.clear()
            self._remembered[key] = found
        return found


class PolicySet:
    """What is in force. Immutable but for what lookups remember; share it between threads.

    `documents` are those in force, each with the text and digest that a decision refers to.
    """

    def __init__(
        self,
        policies: Iterable[Policy] = (),
        models: Iterable[Model] = (),
        documents: Iterable[Document] = (),
        freezes: Iterable[Freeze] = (),
    ) -> None:
        self.policies: tuple[Policy, ...] = _ordered(policies)
        self._by_name = {(policy.namespace, policy.name): policy for policy in self.policies}
        self.models: dict[tuple[str, str], Model] = {(model.namespace, model.name): model for model in models}
        self.documents: tuple[Document, ...] = tuple(sorted(documents, key=lambda document: document.key))
        members = [(policy.key, policy.digest) for policy in self.policies]
        members += [(model.key, model.digest) for model in self.models.values()]
        self.freezes: tuple[Freeze, ...] = tuple(sorted(freezes, key=lambda freeze: freeze.key))
        members += [(freeze.key, freeze.digest) for freeze in self.freezes]
        self._looked: dict[str, tuple[datetime, datetime, Window | None]] = {}
        self.digest: str = digest_of([sorted(members), [document.digest for document in self.documents]])
        namespaces: dict[str, list[str]] = defaultdict(list)
        for namespace, name in sorted(self.models):
            namespaces[name].append(namespace)
        self._namespaces = dict(namespaces)
        self._triggered = _Index(_entries(self.policies, None))
        self._via_dataset = _Index(_entries(self.policies, "dataset"))
        self._alive = _Index((kind, policy) for policy in self.policies for kind in _kinds_of_life(policy))
        readers: dict[str, list[Model]] = defaultdict(list)
        for _, model in sorted(self.models.items()):
            for own in model.inputs:
                readers[own.dataset].append(model)
        self._readers = {dataset: tuple(found) for dataset, found in readers.items()}

    def model(self, namespace: str | None, name: str) -> Model | Ambiguous | None:
        """The document of a model: in its namespace, or, without one, the only one so called.

        `Ambiguous` names the namespaces where several are so called; None where none is.
        """
        if namespace is not None:
            return self.models.get((namespace, name))
        namespaces = self._namespaces.get(name, ())
        if len(namespaces) > 1:
            return Ambiguous(tuple(namespaces))
        return self.models[namespaces[0], name] if namespaces else None

    def triggered_by(self, kind: str, namespace: str, name: str, model: Model | None) -> tuple[Policy, ...]:
        """The policies that an event of this type about the model triggers, in the order in which they are asked.

        They are of that namespace, select the model, and have a trigger of the type. The
        order is urgent first, then severity, namespace, name.
        """
        return self._triggered.find(kind, namespace, name, model)

    def triggered_via_dataset(self, kind: str, model: Model) -> tuple[Policy, ...]:
        """The policies that an event of this type about a dataset triggers for a model that reads it, likewise."""
        return self._via_dataset.find(kind, model.namespace, model.name, model)

    def readers(self, dataset: str, namespace: str | None, feature: str | None) -> tuple[Model, ...]:
        """The models that what is said of a dataset concerns, by namespace and name.

        :param namespace: only models there; None: of every namespace.
        :param feature: only models that read it; None: the dataset as a whole.
        """
        found = self._readers.get(dataset, ())
        return tuple(model for model in found if namespace in (None, model.namespace) and model.reads(dataset, feature))

    def signs_of_life(self, kind: str, namespace: str, name: str, model: Model | None) -> tuple[Policy, ...]:
        """The policies that ask whether detectors looked at all, where an event of this type says that they did."""
        return self._alive.find(kind, namespace, name, model)

    def frozen(self, namespace: str, name: str, model: Model | None, now: datetime) -> list[tuple[Freeze, Window]]:
        """The freezes of a model that `now` lies in, each with its window."""
        found = []
        for freeze in self.freezes:
            if freeze.namespace == namespace and selects(freeze.models, name, model):
                window = self._window(freeze, now)
                if window is not None:
                    found.append((freeze, window))
        return found

    def _window(self, freeze: Freeze, now: datetime) -> Window | None:
        """As `Freeze.window`, which takes long; the answer is remembered for as long as it holds."""
        known = self._looked.get(freeze.key)
        if known is None or not known[0] <= now < known[1]:
            window, following = freeze.window(now), freeze.following(now)
            ends = [window.end] if window else []
            ends += [following.start] if following else []
            known = now, min(ends, default=datetime.max.replace(tzinfo=UTC)), window
            self._looked[freeze.key] = known
        return known[2]

    def policy(self, namespace: str, name: str) -> Policy | None:
        """The policy in force of this name."""
        return self._by_name.get((namespace, name))

    def __repr__(self) -> str:
        return f"PolicySet({len(self.policies)} policies, {len(self.models)} models, {self.digest[:8]})"


def _entries(policies: Iterable[Policy], via: str | None) -> Iterator[tuple[str, Policy]]:
    """Event type and policy, for those that are triggered via a dataset, or are not."""
    for policy in policies:
        if policy.models.via == via:
            for kind in {trigger.type for trigger in policy.triggers}:
                yield kind, policy


def rank(policy: Policy) -> tuple[bool, str, str, str]:
    """By what policies that match one event are asked: the lowest first."""
    return not policy.urgent, policy.severity, policy.namespace, policy.name


def _kinds_of_life(policy: Policy) -> set[str]:
    counted = {trigger.type for trigger in policy.triggers if trigger.counter and trigger.counter.ignore}
    return counted | {MONITOR_CHECKED} if counted else counted


def _ordered(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    return tuple(sorted(policies, key=rank))


def _only_exact(selector: ModelSelector) -> bool:
    return (
        bool(selector.names)
        and not selector.match_labels
        and not any(set(name) & set("*?[") for name in selector.names)
    )


def _any_glob(policies: Iterable[Policy]) -> re.Pattern[str] | None:
    """Matches the names that any of the policies means; None where one means models by labels alone."""
    globs: dict[str, None] = {}
    for policy in policies:
        if not policy.models.names:
            return None
        globs.update(dict.fromkeys(policy.models.names))
    for name in globs:
        _glob(name)  # compiled now, when a set comes into force, and not under the first event
    return re.compile("|".join(map(translate, globs)))


_globs: dict[str, re.Pattern[str]] = {}


def _glob(pattern: str) -> re.Pattern[str]:
    found = _globs.get(pattern)
    if found is None:
        if len(_globs) >= _REMEMBERED:
            _globs.clear()
        found = _globs[pattern] = re.compile(translate(pattern))
    return found
