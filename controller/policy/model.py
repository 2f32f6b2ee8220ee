"""The thing mended, as its document describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Model:
    """The thing mended, as its document says; without a document a bare name (`Model.bare`)."""

    namespace: str
    name: str
    digest: str = ""
    text: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    baseline: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def bare(cls, namespace: str, name: str) -> Model:
        """A model that no document describes: no labels, no baseline, an empty digest."""
        return cls(namespace, name)

    @property
    def key(self) -> str:
        """`namespace/name`, as people and messages write it."""
        return f"{self.namespace}/{self.name}"

    @property
    def documented(self) -> bool:
        """True where a document describes it."""
        return bool(self.digest)


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A model's name alone that several namespaces have."""

    namespaces: tuple[str, ...]
