"""One value of a YAML file is replaced, and every other character stays."""

import pytest
import yaml

from argo.git.place import set_value
from argo.steps.step import StepFailed

KUSTOMIZATION = """\
# what the team wrote
images:
- name: reg/salary   # ours
  newTag: v4
- {name: reg/other, newTag: 'v4'}
"""
MANIFESTS = """\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: salary, labels: {"app.kubernetes.io/version": v4}}
spec:
  template:
    spec:
      containers:
      - name: model
        image: "reg/salary:v4"
        env:
        - {name: MODEL, value: salary}
        - name: MODEL_VERSION
          value: v4    # comment
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: wages}
spec: {template: {spec: {containers: [{image: reg/wages:v4}]}}}
---
"""


@pytest.mark.parametrize(
    ("text", "path", "value", "before", "after"),
    [
        (KUSTOMIZATION, "images[name=reg/salary].newTag", "v5", "newTag: v4\n", "newTag: v5\n"),
        (KUSTOMIZATION, "images[1].newTag", "v5", "'v4'", "'v5'"),
        (KUSTOMIZATION, "images[name=reg/other].newTag", "it's", "'v4'", "'it''s'"),
        (KUSTOMIZATION, "images[0].newTag", "1.10", "newTag: v4\n", 'newTag: "1.10"\n'),
        (KUSTOMIZATION, "images[0].newTag", "1e3", "newTag: v4\n", 'newTag: "1e3"\n'),
        (KUSTOMIZATION, "images[0].newTag", "1234e12", "newTag: v4\n", 'newTag: "1234e12"\n'),
        (KUSTOMIZATION, "images[0].newTag", "0o17", "newTag: v4\n", 'newTag: "0o17"\n'),
        (KUSTOMIZATION, "images[0].newTag", ".5", "newTag: v4\n", 'newTag: ".5"\n'),
        (KUSTOMIZATION, "images[0].newTag", "-x", "newTag: v4\n", 'newTag: "-x"\n'),
        (KUSTOMIZATION, "images[0].newTag", "y", "newTag: v4\n", 'newTag: "y"\n'),
        (KUSTOMIZATION, "images[0].newTag", "null", "newTag: v4\n", 'newTag: "null"\n'),
        (KUSTOMIZATION, "images[0].newTag", "yes", "newTag: v4\n", 'newTag: "yes"\n'),
        (KUSTOMIZATION, "images[0].newTag", "v5 # not a comment", "newTag: v4\n", 'newTag: "v5 # not a comment"\n'),
        (KUSTOMIZATION, "images[0].newTag", "a\nb: c", "newTag: v4\n", 'newTag: "a\\nb: c"\n'),
        (MANIFESTS, "spec.template.spec.containers[0].env[name=MODEL_VERSION].value", "v5", "value: v4 ", "value: v5 "),
        (
            MANIFESTS,
            "spec.template.spec.containers[name=model].image",
            "reg/salary:v5",
            '"reg/salary:v4"',
            '"reg/salary:v5"',
        ),
        (MANIFESTS, 'metadata.labels."app.kubernetes.io/version"', "v5", 'version": v4', 'version": v5'),
    ],
)
def test_the_value_is_replaced_where_it_stands(text, path, value, before, after):
    """In its own style, in quotes where YAML would take it for something else; it reads back as the same text."""
    changed = set_value(text, path, value)
    assert changed == text.replace(before, after, 1)
    assert value in str(list(yaml.safe_load_all(changed))) or "'" in value or "\n" in value


def test_what_stands_there_already_changes_nothing():
    """So that a commit is made once."""
    assert set_value(KUSTOMIZATION, "images[0].newTag", "v4") == KUSTOMIZATION


def test_a_number_is_not_the_text_that_looks_like_it():
    """`newTag: 5` is no tag to kustomize; `"5"` is."""
    assert set_value("newTag: 5\n", "newTag", "5") == 'newTag: "5"\n'


def test_of_several_documents_the_named_one_is_meant():
    """Both have the path."""
    path = "spec.template.spec.containers[0].image"
    changed = set_value(MANIFESTS, path, "reg/wages:v5", "Rollout", "wages")
    assert changed == MANIFESTS.replace("reg/wages:v4", "reg/wages:v5")
    with pytest.raises(StepFailed, match="want it in one document of the file, found it in 0"):
        set_value(MANIFESTS, path, "x", "Rollout", "nobody")


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        (KUSTOMIZATION, "images[name=reg/none].newTag", "want it in one document of the file, found it in 0"),
        (KUSTOMIZATION, "images[7].newTag", "found it in 0"),
        (KUSTOMIZATION, "images.newTag", "found it in 0"),
        (KUSTOMIZATION, "images", "want a value of one line there"),
        ("a: |\n  text\n", "a", "want a value of one line there"),
        (KUSTOMIZATION, "images[x].newTag", r"want \[0\] or \[name=value\], got \[x\]"),
        (KUSTOMIZATION, "images[", "want a path such as"),
        ("a: [", "a", "the file is no YAML"),
        ("a: &tag v4\nb: *tag\n", "a", "want a value of its own there, found one that an anchor shares"),
        ("a: &tag v4\nb: *tag\n", "b", "found one that an anchor shares"),
        ("a: &all {tag: v4}\nb: *all\n", "b.tag", "found one that an anchor shares"),
    ],
)
def test_a_place_that_is_not_there_is_refused(text, path, said):
    """Nothing is invented."""
    with pytest.raises(StepFailed, match=said):
        set_value(text, path, "v5")
