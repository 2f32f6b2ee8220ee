"""A version's place in a serving object: as modelmend itself reads and writes it."""

import pytest

from argo.steps.place import Place
from argo.steps.step import StepFailed
from controller.errors import PermanentError
from controller.policy import serving

IMAGE = ("image", "reg/salary:{version}")
ENV = ("env", "MODEL_VERSION")
LABEL = ("label", "example.com/version")


def obj(*containers, labels=None):
    """A Rollout with these containers."""
    spec = {"containers": list(containers)} if containers else {}
    return {
        "kind": "Rollout",
        "metadata": {"name": "salary"},
        "spec": {"template": {"metadata": {"labels": labels or {}}, "spec": spec}},
    }


def container(name="main", image="reg/salary:v4", **env):
    return {"name": name, "image": image, "env": [{"name": key, "value": value} for key, value in env.items()]}


SECRET = {"name": "MODEL_VERSION", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
CASES = {
    "the image's tag": (IMAGE, obj(container())),
    "a tag pinned by digest": (IMAGE, obj(container(image="reg/salary:v4@sha256:" + "0" * 64))),
    "another image beside it": (IMAGE, obj(container("proxy", "envoy:1"), container())),
    "two of the same image": (IMAGE, obj(container(), container("two"))),
    "two that contradict each other": (IMAGE, obj(container(), container("two", "reg/salary:v3"))),
    "only another image": (IMAGE, obj(container(image="other:1"))),
    "only other images": (IMAGE, obj(container(image="other:1"), container("two", "another:1"))),
    "an image without a tag": (IMAGE, obj(container(image="reg/salary"))),
    "a named container": ((*IMAGE, "two"), obj(container(), container("two", "reg/salary:v3"))),
    "a container that is not there": ((*IMAGE, "three"), obj(container())),
    "a digest as version": (("image", "reg/salary@sha256-{version}"), obj(container(image="reg/salary@sha256-abc"))),
    "a variable": (ENV, obj(container(MODEL_VERSION="v4", MODEL="salary"))),
    "an empty variable": (ENV, obj(container(MODEL_VERSION=""))),
    "no variable yet": (ENV, obj(container())),
    "no variable in any of two": (ENV, obj(container(), container("two"))),
    "a variable in one of two": (ENV, obj(container(), container("two", MODEL_VERSION="v4"))),
    "a variable given twice": (
        ENV,
        obj(
            {
                "name": "main",
                "env": [{"name": "MODEL_VERSION", "value": "v3"}, {"name": "MODEL_VERSION", "value": "v4"}],
            }
        ),
    ),
    "a variable from elsewhere": (ENV, obj({"name": "main", "env": [SECRET]})),
    "one empty, one from elsewhere": (ENV, obj(container(MODEL_VERSION=""), {"name": "two", "env": [SECRET]})),
    "a container without variables": (ENV, obj({"name": "main"})),
    "a label": (LABEL, obj(container(), labels={"example.com/version": "v4", "app": "salary"})),
    "no label yet": (LABEL, obj(container())),
    "no pod template": (IMAGE, obj()),
}
VERSIONS = ("$(id)", "v5", "r-3f2a-0-1", "", "a b", "v5\nv6", "-v5", "v" * 64, "v" * 129, "sha256:abc")


@pytest.mark.parametrize("case", CASES)
def test_reading_and_writing_are_what_modelmend_does(case):
    """The same version read, the same patch made, the same refused: for each place and each version."""
    (where, name, *chosen), found = CASES[case]
    place = Place(where, name, *chosen)
    theirs = serving.Serving("Rollout", "salary", serving.VersionPlace(where, name, *chosen)).plain()
    assert place.read(found) == serving.read_version(theirs, found)
    for version in VERSIONS:
        try:
            expected = serving.version_patch(theirs, found, version)
        except PermanentError:
            with pytest.raises(StepFailed):
                place.patch(found, version)
        else:
            assert place.patch(found, version) == expected


@pytest.mark.parametrize(
    ("case", "doubt"),
    [
        ("an empty variable", ""),
        ("no variable yet", "no container declares MODEL_VERSION"),
        (
            "a container that is not there",
            "no container has a version in the image reg/salary:{version} that can be read",
        ),
        ("a variable from elsewhere", "no container has a version in the env MODEL_VERSION that can be read"),
        ("one empty, one from elsewhere", "no container has a version in the env MODEL_VERSION that can be read"),
        ("two that contradict each other", "its containers contradict each other: v3, v4"),
        ("only another image", "no container has a version in the image reg/salary:{version} that can be read"),
        ("an image without a tag", ""),
        ("no label yet", "its pods declare no label example.com/version"),
    ],
)
def test_where_no_version_is_read_it_says_whether_there_can_be_one(case, doubt):
    """Only a place that is there and empty says that none serves."""
    (where, name, *chosen), found = CASES[case]
    assert Place(where, name, *chosen).read(found) is None
    assert Place(where, name, *chosen).doubt(found) == doubt


def test_a_label_that_is_empty_is_no_doubt():
    """It is declared."""
    assert Place(*LABEL).doubt(obj(container(), labels={"example.com/version": ""})) == ""


@pytest.mark.parametrize(
    ("where", "name", "said"),
    [
        ("tag", "x", "version-in: want image, env or label, got 'tag'"),
        ("image", "reg/salary:v4", "version-name: want an image's pattern with one {version}"),
        ("image", "{version}:{version}", "version-name: want an image's pattern with one {version}"),
        ("env", "", "version-name: want a variable's name, got ''"),
    ],
)
def test_a_place_that_is_none_is_refused(where, name, said):
    """The parameter is named."""
    with pytest.raises(StepFailed, match=said.replace("{", r"\{")):
        Place(where, name)
