"""argo/ as files: what policies name is there, and is what argo/README.md says."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ARGO = ROOT / "argo"
SAMPLE = ROOT / "manifests" / "samples"
README = (ARGO / "README.md").read_text()
BY_MODELMEND = frozenset({"kind", "name", "namespace", "version", "remediation", "branch"})
"""What the action `rollout` adds to the parameters of a Model's `gitops` (controller/actions/rollout.py)."""


def documents(*files):
    """All YAML documents of files, each with its file's name."""
    return [(file, each) for file in files for each in yaml.safe_load_all(file.read_text()) if each]


TEMPLATES = {
    each["metadata"]["name"]: (file, each)
    for file, each in documents(*sorted(ARGO.glob("*.yaml")))
    if each.get("kind") == "WorkflowTemplate"
}
IMAGES = {each["name"]: each for each in yaml.safe_load((ARGO / "kustomization.yaml").read_text())["images"]}


def parameters(template):
    """What a template declares, by name."""
    return {each["name"]: each for each in TEMPLATES[template][1]["spec"]["arguments"]["parameters"]}


def containers(template):
    return {
        each["name"]: each["container"] for each in TEMPLATES[template][1]["spec"]["templates"] if "container" in each
    }


def uses(document):
    """The templates that a document names, each with the parameters that it is given there."""
    if isinstance(document, dict):
        if isinstance(named := document.get("workflowTemplateRef"), dict):
            given = document.get("parameters")
            if given is None:
                given = {each["name"] for each in (document.get("arguments") or {}).get("parameters") or ()}
            yield named["name"], frozenset(given)
        for key, value in document.items():
            for template, given in uses(value):
                yield template, given | BY_MODELMEND if key == "gitops" else given
    elif isinstance(document, list):
        for value in document:
            yield from uses(value)


def faults(document):
    """What is wrong with a document's templates and parameters."""
    for template, given in uses(document):
        if template not in TEMPLATES:
            yield f"there is no template {template}"
            continue
        declared = parameters(template)
        yield from (f"{template} has no parameter {name}" for name in sorted(given - declared.keys()))
        missing = {name for name, each in declared.items() if "value" not in each} - given
        yield from (f"{template} needs the parameter {name}" for name in sorted(missing))


SAMPLES = documents(
    *sorted((ROOT / "examples").glob("*/*.yaml")),
    *sorted((ROOT / "manifests" / "samples").glob("*.yaml")),
    *sorted((ROOT / "tests").glob("scenarios/*.yaml")),
)


def test_every_sample_names_templates_and_parameters_that_are_here():
    """Policies, models and Workflows, of the examples and of manifests/samples."""
    assert [f"{file.name}: {fault}" for file, each in SAMPLES for fault in faults(each)] == []


def test_the_samples_use_the_templates():
    """So the test above compares something."""
    assert {template for _, each in SAMPLES for template, _ in uses(each)} >= {"retrain-model", "redeploy-model"}


def test_every_block_of_the_documentation_names_what_is_here():
    """YAML in docs/ and argo/README.md, where it is whole."""
    found = []
    for page in [*sorted((ROOT / "docs").glob("*.md")), ARGO / "README.md"]:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            if "workflowTemplateRef" in block:
                found += [f"{page.name}: {fault}" for each in yaml.safe_load_all(block) for fault in faults(each)]
    assert found == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"workflow": {"workflowTemplateRef": {"name": "retrain"}}}, ["there is no template retrain"]),
        (
            {
                "steps": [
                    {"workflow": {"workflowTemplateRef": {"name": "retrain-model"}, "parameters": {"modell": "x"}}}
                ]
            },
            ["retrain-model has no parameter modell", "retrain-model needs the parameter model"],
        ),
        (
            {
                "gitops": {
                    "workflowTemplateRef": {"name": "git-set-version"},
                    "parameters": {"repository": "x", "path": "y"},
                }
            },
            ["git-set-version needs the parameter key"],
        ),
    ],
)
def test_a_sample_that_is_wrong_would_be_found(document, said):
    """A template, a parameter too many, one too few."""
    assert list(faults(document)) == said


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_called_as_its_file_and_documented(template):
    """The README's table has the same parameters, in the same order, with the same defaults."""
    file, body = TEMPLATES[template]
    assert file.stem == template
    section = README.split(f"## {template}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \|", section, re.MULTILINE)
    said = {
        each["name"]: f"`{each['value']}`" if each.get("value") else "empty" if "value" in each else "required"
        for each in body["spec"]["arguments"]["parameters"]
    }
    assert dict(rows) == said
    assert [name for name, _ in rows] == list(said)


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_parameter_is_used_and_explained(template):
    """And no step uses one that is not declared."""
    _, body = TEMPLATES[template]
    used = set(re.findall(r"workflow\.parameters\.([\w-]+)", yaml.safe_dump(body)))
    assert used == parameters(template).keys()
    assert all(each["description"] for each in parameters(template).values())


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_value_stands_behind_an_option_of_its_own(template):
    """`--name=<value>`: what a value looks like can make no option of it, and no shell reads it."""
    for container in containers(template).values():
        assert container["command"][:2] == ["python3", "-m"]
        assert all(re.fullmatch(r"--[\w-]+=\{\{[^}]+\}\}", each) for each in container["args"])


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_pod_is_one_that_a_restricted_namespace_takes(template):
    """Nobody's user, no capabilities, the runtime's seccomp profile, a root that is read-only; nothing is pulled anew."""
    _, body = TEMPLATES[template]
    pod = body["spec"]["securityContext"]
    assert (pod["runAsNonRoot"], pod["runAsUser"], pod["seccompProfile"]) == (True, 65532, {"type": "RuntimeDefault"})
    argos = yaml.safe_load(body["spec"]["podSpecPatch"])
    for container in [*containers(template).values(), *argos["containers"], *argos["initContainers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    for container in containers(template).values():
        assert (container["imagePullPolicy"], container["image"] in IMAGES) == ("IfNotPresent", True)


@pytest.mark.parametrize("template", TEMPLATES)
def test_accounts_may_do_what_the_readme_says(template):
    """Each that a template's pods run as has a Role of its own, in its own namespace."""
    parts = [each for _, each in documents(ARGO / "accounts" / f"{template}.yaml")]
    spec = TEMPLATES[template][1]["spec"]
    used = {each.get("serviceAccountName", spec["serviceAccountName"]) for each in spec["templates"]}
    assert spec["serviceAccountName"] == template
    assert used == {each["metadata"]["name"] for each in parts}
    for account, role, binding in (parts[at : at + 3] for at in range(0, len(parts), 3)):
        name = account["metadata"]["name"]
        assert (role["kind"], role["metadata"]["name"], binding["roleRef"]["name"]) == ("Role", name, name)
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name}]
        may = {resource: rule["verbs"] for rule in role["rules"] for resource in rule["resources"]}
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
        said = {name: verbs.split(", ") for name, verbs in re.findall(r"`(\w+)`: ([a-z, ]+?)(?:;| \|)", row)}
        assert said == may


def test_only_the_steps_that_ask_for_what_serves_may():
    """validate, train and register run code on data, and may report outputs."""
    _, body = TEMPLATES["retrain-model"]
    accounts = {each["name"]: each.get("serviceAccountName") for each in body["spec"]["templates"]}
    assert {name for name, account in accounts.items() if account} == {"evaluate", "deploy"}
    for name in ("evaluate", "deploy"):
        assert accounts[name] == f"retrain-model-{name}"


def test_what_mounts_the_registry_is_where_the_others_are():
    """Each pod carries the label that its own affinity asks for, so that the first one finds a node, too."""
    _, template = TEMPLATES["retrain-model"]
    [(_, rollout)] = documents(SAMPLE / "rollout.yaml")
    pod = rollout["spec"]["template"]
    for labels, affinity in (
        (template["spec"]["podMetadata"]["labels"], template["spec"]["affinity"]),
        (pod["metadata"]["labels"], pod["spec"]["affinity"]),
    ):
        [term] = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert term["labelSelector"]["matchLabels"] == {"modelmend.io/registry": "model-registry"}
        assert labels.items() >= term["labelSelector"]["matchLabels"].items()


def test_the_sample_is_applied_by_two_commands():
    """The same in both places; what says which version serves is created once, and the first Workflow goes by itself."""
    commands = ["kubectl apply -k manifests/samples", "kubectl create -f manifests/samples/rollout.yaml"]
    commands[1] += " -f manifests/samples/first-version.yaml"
    assert all(command in README and command in (SAMPLE / "kustomization.yaml").read_text() for command in commands)
    resources = yaml.safe_load((SAMPLE / "kustomization.yaml").read_text())["resources"]
    assert not {"rollout.yaml", "first-version.yaml"} & set(resources)
    [(_, first)] = documents(SAMPLE / "first-version.yaml")
    assert (first["metadata"].get("name"), first["metadata"]["generateName"]) == (None, "bikes-")
    assert first["spec"]["ttlStrategy"]["secondsAfterCompletion"] == 7 * 24 * 3600


def test_everything_is_applied():
    """`kubectl apply -k argo` makes each template, its account and the registry; images have a Dockerfile each."""
    kustomization = yaml.safe_load((ARGO / "kustomization.yaml").read_text())
    wanted = {
        "model-registry.yaml",
        *(f"{name}.yaml" for name in TEMPLATES),
        *(f"accounts/{name}.yaml" for name in TEMPLATES),
    }
    assert set(kustomization["resources"]) == wanted
    built = {re.search(r"-t (\S+) -f", file.read_text())[1] for file in ARGO.glob("*/Dockerfile")}
    assert built == IMAGES.keys()


def test_the_images_lock_what_the_project_locks():
    """The data set's wheel by its hash, and every package in a version that a lock of the project has too."""
    assert (
        "".join((ROOT / "requirements" / "bikeshare.lock").read_text().splitlines(keepends=True)[2:])
        in (ARGO / "retrain" / "bikeshare.lock").read_text()
    )
    pinned = set(re.findall(r"^[\w-]+==\S+", (ROOT / "requirements" / "development.lock").read_text(), re.MULTILINE))
    for lock in (ARGO / "retrain" / "requirements.lock", ARGO / "git" / "requirements.lock"):
        assert set(re.findall(r"^[\w-]+==\S+", lock.read_text(), re.MULTILINE)) <= pinned
