"""Documents that a cluster holds as objects: the same as in files, without what the API adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.policy.digest import digest_of
from controller.policy.document import Document, Problem
from controller.policy.keys import API_VERSION
from controller.policy.reading import MAX_DEPTH, Place

CLUSTER = "cluster"
"""Where messages say that such a document stands: files are named by their path."""


def read_object(kind: str, found: Mapping[str, Any]) -> tuple[Document | None, list[Problem]]:
    """The document that an object of the API holds, and what is wrong with its head.

    Of its metadata only name, namespace and a Model's labels count: others write there too.
    Every problem names the document, so that one bad object does not keep others as they were.
    """
    metadata = found["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    faults: list[str] = []
    fields = Place({key: value for key, value in found.items() if key != "status"}, "", faults).fields("document")
    Place(name, "metadata.name", faults).label()
    spec = fields.get("spec") if kind == "Model" else fields.need("spec", "a map")
    if spec and not isinstance(spec.value, dict):
        spec.want("a map")
    if spec:
        spec.bounded(MAX_DEPTH - 1)
    head: dict[str, Any] = {"name": name, "namespace": namespace}
    if kind == "Model" and metadata.get("labels"):
        head["labels"] = dict(metadata["labels"])
    if faults:
        return None, [Problem(CLUSTER, (kind, namespace, name), fault) for fault in faults]
    text = {"apiVersion": API_VERSION, "kind": kind, "metadata": head, "spec": spec.value if spec else {}}
    return Document(kind, namespace, name, text["spec"], CLUSTER, 0, digest_of(text), text), []
