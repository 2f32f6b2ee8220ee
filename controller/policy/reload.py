"""Which documents come into force: the good ones; instead of a bad one, the one before.

A bad document is refused and named, and its previous accepted text stays in force. Where a
file cannot be read at all, so does all that came from it. What is simply gone, is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from controller.policy.defaults import Fallback
from controller.policy.digest import digest_of
from controller.policy.document import Document, Problem
from controller.policy.installation import Installation, defaults_faults, policy_faults
from controller.policy.objects import CLUSTER
from controller.policy.parse import (
    fallback_of,
    freeze_from_text,
    model_from_text,
    policy_from_text,
    read_freeze,
    read_model,
    read_policy,
)
from controller.policy.policy_set import PolicySet
from controller.policy.types import Policy

_Key = tuple[str, str, str]
_Value = TypeVar("_Value")
_Read = Callable[[dict[str, Any]], tuple[_Value, list[str]]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The set to put in force, every problem, and the documents that stay as they were because of one."""

    policies: PolicySet
    problems: tuple[Problem, ...]
    kept: tuple[Document, ...]


def build_set(
    documents: Sequence[Document], installation: Installation, problems: Iterable[Problem] = ()
) -> tuple[PolicySet, tuple[Problem, ...]]:
    """The set of all good documents, and every problem; `problems` are those of reading the files."""
    accepted = accept(documents, installation, problems)
    return accepted.policies, accepted.problems


def accept(
    documents: Sequence[Document],
    installation: Installation,
    problems: Iterable[Problem] = (),
    previous: Sequence[Document] = (),
) -> Accepted:
    """What is to be in force after reading `documents`.

    :param problems: of reading the files; a file with a problem that names no document keeps all it had.
    :param previous: `PolicySet.documents` in force before; from the store by `document_from_text`.
        Without its file (from the store), one that is not found anywhere stays as long as any file cannot be read.
    """
    choice = _Choice(list(problems), {document.key: document for document in previous})
    unique = _without_twins(documents, choice.problems)
    candidates = [*unique, *_staying(documents, unique, choice.problems, previous)]

    defaults: dict[str, Mapping[str, Any]] = {}
    for document in _of_kind("Defaults", candidates):
        if document.namespace not in defaults:
            chosen = choice.take(document, lambda text: _read_defaults(text, installation))
            if chosen:
                defaults[document.namespace] = chosen[0].spec
    policies = []
    for document in _of_kind("RemediationPolicy", candidates):
        effective = _with_defaults(document, defaults.get(document.namespace))
        if chosen_policy := choice.take(effective, _policy_of(document, installation)):
            policies.append(chosen_policy[1])
    models = [
        chosen_model[1]
        for document in _of_kind("Model", candidates)
        if (chosen_model := choice.take(_with_known_good(document, defaults.get(document.namespace)), read_model))
    ]
    freezes = [
        chosen_freeze[1]
        for document in _of_kind("Freeze", candidates)
        if (chosen_freeze := choice.take(document, read_freeze))
    ]
    return Accepted(PolicySet(policies, models, choice.documents, freezes), tuple(choice.problems), tuple(choice.kept))


def restored(documents: Sequence[Document]) -> PolicySet:
    """The set of documents that were in force together, unchecked: for replay, and for a child that asks again.

    Raises ConfigError where this version cannot read one.
    """
    policies = [policy_from_text(document.text) for document in _of_kind("RemediationPolicy", documents)]
    models = [model_from_text(document.text) for document in _of_kind("Model", documents)]
    freezes = [freeze_from_text(document.text) for document in _of_kind("Freeze", documents)]
    return PolicySet(policies, models, documents, freezes)


@dataclass(slots=True)
class _Choice:
    """Between a document and the one before, as the fresh one is good or not."""

    problems: list[Problem]
    before: Mapping[_Key, Document]
    documents: list[Document] = field(default_factory=list)
    kept: list[Document] = field(default_factory=list)

    def take(self, document: Document, read: _Read[_Value]) -> tuple[Document, _Value] | None:
        """The document to put in force and its value; None where neither it nor the one before is good."""
        for candidate in (document, self.before.get(document.key)):
            if candidate is None:
                continue
            try:
                value, faults = read(candidate.text)
            except Exception as error:  # noqa: BLE001 - a fault of ours costs this document, not all the others
                faults = [f"cannot be read: {error!r}"]
            if not faults:
                self.documents.append(candidate)
                if candidate is self.before.get(document.key):
                    self.kept.append(candidate)
                return candidate, value
            if candidate is document:
                self.problems += [Problem(document.file, document.key, fault) for fault in faults]
        return None


def _of_kind(kind: str, documents: Iterable[Document]) -> list[Document]:
    return [document for document in documents if document.kind == kind]


def _without_twins(documents: Sequence[Document], problems: list[Problem]) -> list[Document]:
    """The documents whose name nobody else has; the others are all refused, since none is the right one."""
    twins: dict[_Key, list[Document]] = defaultdict(list)
    for document in documents:
        # a namespace has one Defaults, whatever its name
        name = "" if document.kind == "Defaults" else document.name
        twins[document.kind, document.namespace, name].append(document)
    for first, *others in twins.values():
        for document in others:
            message = f"stands twice, first in {first.file} (document {first.index})"
            if document.kind == "Defaults":
                message = f"want one Defaults in a namespace, the first is in {first.file} (document {first.index})"
            problems.append(Problem(document.file, document.key, message))
    return [found[0] for found in twins.values() if len(found) == 1]


def _staying(
    documents: Sequence[Document], unique: list[Document], problems: list[Problem], previous: Sequence[Document]
) -> list[Document]:
    """What was in force, is not among the documents that may be, and is not known to be gone."""
    good = {document.key for document in unique}
    named = {document.key for document in documents} | {problem.key for problem in problems if problem.key is not None}
    unreadable = {problem.file for problem in problems if problem.key is None}
    return [
        document
        for document in previous
        if document.key not in good
        and (document.key in named or document.file in unreadable or (unreadable and not document.file))
    ]


def _with_defaults(document: Document, defaults: Mapping[str, Any] | None) -> Document:
    """The document as it is in force: beside its own text that of its namespace's Defaults."""
    if defaults is None or "defaults" in document.text:
        return document
    text = {**document.text, "defaults": dict(defaults)}
    return replace(document, text=text, digest=digest_of(text))


def _with_known_good(document: Document, defaults: Mapping[str, Any] | None) -> Document:
    """A Model's document as it is in force: beside its own text what its namespace's Defaults say of models."""
    said = {key: value for key, value in (defaults or {}).items() if key == "lastKnownGood"}
    return _with_defaults(document, said or None)


def _policy_of(document: Document, installation: Installation) -> _Read[Policy]:
    here = replace(installation, objects=document.file == CLUSTER)
    return lambda text: _read_policy(text, here)


def _read_policy(text: dict[str, Any], installation: Installation) -> tuple[Policy, list[str]]:
    policy, faults = read_policy(text)
    return policy, _joined(faults, policy_faults(policy, installation))


def _read_defaults(text: dict[str, Any], installation: Installation) -> tuple[Fallback, list[str]]:
    faults: list[str] = []
    fallback = fallback_of(text["spec"], faults)
    return fallback, _joined(faults, defaults_faults(fallback, text["spec"], installation))


def _joined(faults: list[str], outside: list[str]) -> list[str]:
    """The faults of the text, and of those found outside it the ones that do not follow from them."""
    wrong = [fault.partition(": ")[0] for fault in faults]
    return faults + [fault for fault in outside if not any(fault.startswith(path) for path in wrong)]
