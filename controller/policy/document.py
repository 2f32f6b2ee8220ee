"""Documents: the pieces of the files that operators write, each with its kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller import yaml12
from controller.policy.digest import digest_of
from controller.policy.keys import API_VERSION, KINDS, LATER_KINDS
from controller.policy.reading import Fields, Place, either


@dataclass(frozen=True, slots=True)
class Document:
    """One document whose head is right; what its `spec` says is read by `parse`.

    `text` is canonical: version, kind, metadata with the namespace filled in, spec. Of a
    policy in force it also holds `defaults`, the spec of its namespace's Defaults, so that
    a text alone says all. `file` is '' for a text that comes from the store.
    """

    kind: str
    namespace: str
    name: str
    spec: Mapping[str, Any]
    file: str
    index: int
    digest: str
    text: dict[str, Any] = field(repr=False, compare=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """Kind, namespace, name: no two documents in force share it."""
        return self.kind, self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: in a named document, or (`key` None) in a file before its documents could be told."""

    file: str
    key: tuple[str, str, str] | None
    message: str

    def __str__(self) -> str:
        place = f"{self.file or 'stored'}: "
        if self.key is not None:
            kind, namespace, name = self.key
            place += f'{kind} "{namespace}/{name}": '
        # one line, whatever the document's keys hold: it goes to logs and terminals
        return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in place + self.message)


def parse_documents(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    """The documents of one file, and what is wrong with their heads; `file` is its name in messages."""
    try:
        found = yaml12.load_all(text)
    except yaml12.YamlError as error:
        return [], [Problem(file, None, str(error))]
    documents: list[Document] = []
    problems: list[Problem] = []
    for index, piece in enumerate(found, start=1):
        faults: list[str] = []
        document = _read_head(piece.value, file, index, faults)
        key = document.key if document and document.name and document.namespace else None
        head = "" if key else f"document {index} (line {piece.line}): "
        problems += [Problem(file, key, head + fault) for fault in faults]
        if document and not faults:
            documents.append(document)
    return documents, problems


def document_from_text(text: dict[str, Any], file: str = "") -> Document:
    """The document that a stored text describes."""
    metadata = text["metadata"]
    return Document(text["kind"], metadata["namespace"], metadata["name"], text["spec"], file, 0, digest_of(text), text)


def _read_head(value: Any, file: str, index: int, faults: list[str]) -> Document | None:
    if not isinstance(value, dict):
        Place(value, "", faults)
        faults.append("want a document with kind, metadata and spec")
        return None
    kind_place = Place(value.get("kind"), "kind", faults)
    if "kind" not in value:
        kind_place.refuse(f"want {either(KINDS)}, got nothing")
        return None
    kind = kind_place.one_of(*KINDS, later=LATER_KINDS)
    if faults:
        return None
    whole = Place(value, "", faults)
    bounded = whole.bounded()
    fields = whole.fields("document")
    version = fields.get("apiVersion")
    if version:
        version.one_of(API_VERSION)
    metadata = _read_metadata(fields, kind)
    spec = fields.get("spec") if kind == "Model" else fields.need("spec", "a map")
    if spec and not isinstance(spec.value, dict):
        spec.want("a map")
    text = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata,
        "spec": spec.value if spec and bounded else {},  # refused, it need not be digested
    }
    return Document(kind, metadata["namespace"], metadata["name"], text["spec"], file, index, digest_of(text), text)


def _read_metadata(fields: Fields, kind: str) -> dict[str, Any]:
    place = fields.need("metadata", "a map with a name")
    metadata: dict[str, Any] = {"name": "", "namespace": "default"}
    if place is None:
        return metadata
    own = place.fields("model metadata" if kind == "Model" else "metadata")
    name, namespace = own.need("name", "a name"), own.get("namespace")
    metadata["name"] = name.label() if name else ""
    if namespace:
        metadata["namespace"] = namespace.namespace()
    if "labels" in own:
        metadata["labels"] = {key: label.text("a string") for key, label in own.at("labels").entries("labels")}
    return metadata
