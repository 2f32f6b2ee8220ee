"""Where a version stands in a serving object: read, and written without touching anything else."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policy import NoPlace, Serving, VersionPlace, normalised, read_version, version_patch

IMAGE = VersionPlace("image", "reg.example:5000/salary:{version}")
ENV = VersionPlace("env", "MODEL_VERSION")
LABEL = VersionPlace("label", "example.com/version")


def serving(place: VersionPlace | None) -> dict[str, Any]:
    """As it stands in an intent."""
    return Serving("Rollout", "salary-predictor", place).plain()


def container(name: str, image: str = "reg.example/proxy:1", env: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A container with more than what is asked about."""
    made = {"name": name, "image": image, "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 8080}]}
    return made if env is None else made | {"env": env}


def rollout(*containers: dict[str, Any], labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A Rollout with these containers, and an init container that looks like the serving one."""
    pod = {
        "initContainers": [
            container("init", "reg.example:5000/salary:v1", [{"name": "MODEL_VERSION", "value": "v1"}]),
        ],
        "containers": list(containers),
        "serviceAccountName": "serving",
    }
    template = {"metadata": {"labels": {"app": "salary", **(labels or {})}}, "spec": pod}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "salary-predictor", "namespace": "ml", "resourceVersion": "7"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "salary"}}, "template": template},
    }


def patched(obj: Any, patch: Any) -> Any:
    """What the API server makes of a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = patched(merged.get(key), value)
    return merged


FROM_SECRET = {"name": "MODEL_VERSION", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


@pytest.mark.parametrize(
    ("place", "obj", "version"),
    [
        (IMAGE, rollout(container("main", "reg.example:5000/salary:v4")), "v4"),
        (IMAGE, rollout(container("proxy"), container("main", "reg.example:5000/salary:v4")), "v4"),
        (IMAGE, rollout(container("main", "reg.example:5000/salary:v4@sha256:" + "a" * 64)), "v4"),
        (IMAGE, rollout(container("main", "mirror.example/salary:v4")), None),
        (IMAGE, rollout(container("main", "reg.example:5000/salary:")), None),
        (IMAGE, rollout(container("a", "reg.example:5000/salary:v4"), container("b", "reg.example:5000/salary:v5")), None),
        (VersionPlace("image", IMAGE.name, "b"), rollout(container("a", "reg.example:5000/salary:v4"), container("b", "reg.example:5000/salary:v5")), "v5"),
        (VersionPlace("image", IMAGE.name, "gone"), rollout(container("a", "reg.example:5000/salary:v4")), None),
        (VersionPlace("image", "reg/s@sha256:{version}"), rollout(container("a", "reg/s@sha256:" + "b" * 64)), "b" * 64),
        (ENV, rollout(container("main", env=[{"name": "MODEL_VERSION", "value": "models:/salary/4"}])), "models:/salary/4"),
        (ENV, rollout(container("main", env=[{"name": "MODEL_VERSION", "value": "3"}, {"name": "MODEL_VERSION", "value": "4"}])), "4"),
        (ENV, rollout(container("main", env=[FROM_SECRET])), None),
        (ENV, rollout(container("main", env=[{"name": "MODEL_VERSION"}])), None),
        (ENV, rollout(container("main")), None),
        (LABEL, rollout(container("main"), labels={"example.com/version": "v4"}), "v4"),
        (LABEL, rollout(container("main")), None),
        (None, rollout(container("main")), None),
        (IMAGE, {"spec": {"workloadRef": {"name": "d"}}}, None),
        (LABEL, {"spec": {"template": {"metadata": {"labels": None}}}}, None),
        (ENV, {}, None),
    ],
)  # fmt: skip
def test_the_version_is_read_where_the_model_says(
    place: VersionPlace | None, obj: dict[str, Any], version: str | None
) -> None:
    """The one version that the pod template asks for; None where it is nowhere, hidden or contradicted."""
    assert read_version(serving(place), obj) == version


@pytest.mark.parametrize(
    ("place", "before", "after"),
    [
        (IMAGE, container("main", "reg.example:5000/salary:v4"), container("main", "reg.example:5000/salary:v5")),
        (IMAGE, container("main", "mirror.example/salary:v4"), container("main", "reg.example:5000/salary:v5")),
        (
            ENV,
            container("main", env=[{"name": "A", "value": "a"}, {"name": "MODEL_VERSION", "value": "v4"}]),
            container("main", env=[{"name": "A", "value": "a"}, {"name": "MODEL_VERSION", "value": "v5"}]),
        ),
        (
            ENV,
            container("main", env=[{"name": "MODEL_VERSION"}]),
            container("main", env=[{"name": "MODEL_VERSION", "value": "v5"}]),
        ),
    ],
)
def test_a_version_is_written_into_its_container(
    place: VersionPlace, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """One container changes, in one place; one that has none yet gets it where it is the only one."""
    obj = rollout(before)
    kept = deepcopy(obj)
    assert patched(obj, version_patch(serving(place), obj, "v5")) == rollout(after)
    assert obj == kept


def test_other_containers_stay_as_they_are() -> None:
    """Beside the container that carries the version nothing of the pod changes, init containers least of all."""
    obj = rollout(container("proxy"), container("main", "reg.example:5000/salary:v4"), container("log"))
    expected = rollout(container("proxy"), container("main", "reg.example:5000/salary:v5"), container("log"))
    assert patched(obj, version_patch(serving(IMAGE), obj, "v5")) == expected


def test_every_container_that_carries_the_version_is_set() -> None:
    """Where no container is named, two of one image move together; a named one moves alone."""
    both = rollout(container("a", "reg.example:5000/salary:v4"), container("b", "reg.example:5000/salary:v4"))
    moved = patched(both, version_patch(serving(IMAGE), both, "v5"))
    assert [one["image"][-2:] for one in moved["spec"]["template"]["spec"]["containers"]] == ["v5", "v5"]
    alone = patched(both, version_patch(serving(VersionPlace("image", IMAGE.name, "b")), both, "v5"))
    assert [one["image"][-2:] for one in alone["spec"]["template"]["spec"]["containers"]] == ["v4", "v5"]


@pytest.mark.parametrize("place", [ENV, LABEL])
def test_what_is_not_declared_is_not_added(place: VersionPlace) -> None:
    """A mistyped name set beside the right one would read back as the new version, and change nothing that serves."""
    with pytest.raises(NoPlace, match=r"MODEL_VERSION|example.com/version"):
        version_patch(serving(place), rollout(container("main")), "v5")


def test_a_label_is_written_on_the_pod_template() -> None:
    """The pod template's own labels stay, and so do the containers."""
    obj = rollout(container("main"), labels={"example.com/version": "v4"})
    expected = rollout(container("main"), labels={"example.com/version": "v5"})
    assert version_patch(serving(LABEL), obj, "v5") == {
        "spec": {"template": {"metadata": {"labels": {"example.com/version": "v5"}}}}
    }
    assert patched(obj, version_patch(serving(LABEL), obj, "v5")) == expected


@pytest.mark.parametrize(
    ("place", "obj", "message"),
    [
        (None, rollout(container("main")), "does not say where its version stands"),
        (IMAGE, rollout(container("a"), container("b")), "no container has the image"),
        (ENV, rollout(container("a"), container("b")), "no container has the env MODEL_VERSION"),
        (ENV, rollout(container("a", env=[FROM_SECRET])), "no container has the env MODEL_VERSION"),
        (VersionPlace("env", "V", "gone"), rollout(container("a")), "container gone has no env V"),
        (LABEL, {"spec": {"workloadRef": {"name": "d"}}}, "has no pod template of its own"),
    ],
)
def test_without_a_place_nothing_is_written(place: VersionPlace | None, obj: dict[str, Any], message: str) -> None:
    """Where it is not certain which container is meant, or the version comes from elsewhere, it is refused."""
    with pytest.raises(NoPlace, match=message):
        version_patch(serving(place), obj, "v5")


@pytest.mark.parametrize(
    ("place", "version"),
    [
        (IMAGE, "v5/../evil"),
        (IMAGE, ""),
        (IMAGE, "v5@sha256:ab"),
        (IMAGE, "v" * 129),
        (IMAGE, "v5\n"),
        (LABEL, "v5 "),
        (LABEL, "v5-"),
        (LABEL, "v" * 64),
        (ENV, "v5\nLD_PRELOAD=x"),
        (ENV, "v5$(SECRET)"),
        (ENV, "v5$$"),
        (ENV, ""),
    ],
)
def test_a_version_that_does_not_fit_is_refused(place: VersionPlace, version: str) -> None:
    """What an event calls a version cannot become another image, nor a label that the API refuses."""
    obj = rollout(container("main", "reg.example:5000/salary:v4", [{"name": "MODEL_VERSION", "value": "v4"}]))
    with pytest.raises(NoPlace, match="want a version that can be"):
        version_patch(serving(place), obj, version)


names = st.sampled_from(["main", "proxy", "log"])
variables = st.lists(
    st.builds(
        lambda name, value: {"name": name, "value": value}, st.sampled_from(["MODEL_VERSION", "A"]), st.text("v1.", max_size=3)
    ),
    max_size=3,
)  # fmt: skip
images = st.sampled_from(["reg.example:5000/salary:v4", "reg.example:5000/salary:v3", "reg.example/proxy:1"])
objects = st.lists(st.builds(container, names, images, st.none() | variables), max_size=3).map(
    lambda made: rollout(*made)
)
places = st.builds(VersionPlace, st.just("image"), st.just(IMAGE.name), st.none() | names) | st.builds(
    VersionPlace, st.just("env"), st.just("MODEL_VERSION"), st.none() | names
)


@given(places | st.just(LABEL), objects, st.from_regex(r"\A[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?\Z"))
def test_what_was_written_is_read_again(place: VersionPlace, obj: dict[str, Any], version: str) -> None:
    """After the patch the object asks for that version, and writing it again changes nothing; or it was refused."""
    try:
        patch = version_patch(serving(place), obj, version)
    except NoPlace:
        return
    after = patched(obj, patch)
    assert read_version(serving(place), after) == version
    assert patched(after, version_patch(serving(place), after, version)) == after
    assert after["spec"]["template"]["spec"]["initContainers"] == obj["spec"]["template"]["spec"]["initContainers"]


@pytest.mark.parametrize(
    ("written", "names", "version"),
    [
        ("salary-predictor-v5", ("salary-predictor-{version}", "{version}"), "v5"),
        ("v5", ("salary-predictor-{version}", "{version}"), "v5"),
        ("v5", (), "v5"),
        ("models:/salary/5", ("models:/salary/{version}",), "5"),
        ("salary-predictor-", ("salary-predictor-{version}",), "salary-predictor-"),
        ("other-v5", ("salary-predictor-{version}",), "other-v5"),
        ("v5.onnx", ("{version}.onnx",), "v5"),
        ("a.b", ("a{version}b",), "."),
    ],
)
def test_a_sender_s_name_of_a_version_is_brought_to_ours(written: str, names: tuple[str, ...], version: str) -> None:
    """The first name that fits says which part is the version; signs of a pattern mean themselves."""
    assert normalised(written, names) == version
