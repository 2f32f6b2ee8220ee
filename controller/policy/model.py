"""The thing mended, as its document describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from controller.policy.serving import Serving

Target: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name of an object in a cluster."""


@dataclass(frozen=True, slots=True)
class GitOps:
    """How to change what Git decides: by a Workflow of this template, given these parameters."""

    template: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Input:
    """A dataset that a model reads, and which of its features (globs); none: all."""

    dataset: str
    features: tuple[str, ...] = ()

    def reads(self, feature: str | None) -> bool:
        """Whether what is said of this feature concerns the model; None: of the dataset as a whole."""
        return feature is None or not self.features or any(fnmatchcase(feature, glob) for glob in self.features)


@dataclass(frozen=True, slots=True)
class KnownGood:
    """When a stable version counts as good by time alone, and for how long after it served it is taken unasked."""

    soak: timedelta = timedelta(hours=72)
    max_age: timedelta = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Model:
    """The thing mended, as its document says; without a document a bare name (`Model.bare`).

    `version_names` are how senders write a version, each with `{version}`. `gitops` None: what Git decides
    is not touched.
    """

    namespace: str
    name: str
    digest: str = ""
    text: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    baseline: Mapping[str, float] = field(default_factory=dict)
    serving: Serving | None = None
    version_names: tuple[str, ...] = ()
    gitops: GitOps | Literal["ignored"] | None = None
    inputs: tuple[Input, ...] = ()
    known_good: KnownGood = KnownGood()

    @classmethod
    def bare(cls, namespace: str, name: str) -> Model:
        """A model that no document describes: no labels, no baseline, an empty digest."""
        return cls(namespace, name)

    @property
    def key(self) -> str:
        """`namespace/name`, as people and messages write it."""
        return f"{self.namespace}/{self.name}"

    @property
    def target(self) -> Target | None:
        """The object that serves it: kind, namespace, name."""
        return (self.serving.kind, self.namespace, self.serving.name) if self.serving else None

    def reads(self, dataset: str, feature: str | None) -> bool:
        """Whether what is said of this feature of a dataset concerns the model; None: of the dataset as a whole."""
        return any(own.dataset == dataset and own.reads(feature) for own in self.inputs)

    @property
    def documented(self) -> bool:
        """True where a document describes it."""
        return bool(self.digest)


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A model's name alone that several namespaces have."""

    namespaces: tuple[str, ...]
