"""The account of an installation may do what the code does, where models are, and nothing else anywhere."""

from __future__ import annotations

import copy
import uuid

import pytest
import yaml

from tests.e2e.serving import until
from tests.e2e_cluster import privileges
from tests.e2e_cluster.installing import NAMESPACE

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:modelmend"
EVERYWHERE = {(verb, kind.resource) for verb in ("list", "watch") for kind in privileges.DOCUMENTS}
RULES = next(document["rules"] for document in yaml.safe_load_all(privileges.ROLE.read_text()) if "rules" in document)
SOON = 20.0
"""Seconds in which the API server has read a role that was changed."""


@pytest.fixture(scope="module")
def where(installed, kubectl):
    """A namespace of models, for all tests here: none makes anything in it."""
    name = f"t-rights-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("apply", f"--namespace={name}", f"--filename={privileges.ROLE}")
    until(lambda: may(kubectl, name, "create", "workflows.argoproj.io"), "its role", SOON)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def rights(kubectl, namespace, account=ACCOUNT):
    """Everything that an account may do in a namespace, as the API server tells it."""
    said = kubectl.review("SelfSubjectRulesReview", {"namespace": namespace}, f"--as={account}")
    return {
        (verb, privileges.named(group, resource), tuple(rule.get("resourceNames", [])))
        for rule in said["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def granted(kubectl, namespace):
    """What of it the account owes to its roles; everybody may ask who he is."""
    extra = rights(kubectl, namespace) - rights(kubectl, namespace, f"system:serviceaccount:{NAMESPACE}:nobody")
    assert all(names == () for _, _, names in extra)
    return {(verb, resource) for verb, resource, _ in extra}


def may(kubectl, namespace, verb, resource, account=ACCOUNT):
    """Whether the API server would let the account do it: `kubectl auth can-i --as=…`."""
    name, _, part = resource.partition("/")
    plural, _, group = name.partition(".")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": plural, "subresource": part}
    spec = {"user": account, "resourceAttributes": asked}
    return kubectl.review("SubjectAccessReview", spec)["allowed"]


def test_where_it_has_a_role_it_may_do_what_the_code_calls_and_nothing_else(kubectl, where):
    """Word for word: verbs and resources of the API server's answer are those of the calls in the code."""
    assert granted(kubectl, where) == privileges.needed()


def test_elsewhere_it_may_read_its_own_documents_and_nothing_else(installed, kubectl):
    """Also in its own namespace: it cannot read its secrets by the API, nor change its own roles."""
    for namespace in ("default", "kube-system", NAMESPACE):
        assert granted(kubectl, namespace) == EVERYWHERE


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("delete", "pods"),
        ("get", "configmaps"),
        ("create", "serviceaccounts/token"),
        ("delete", "workflows.argoproj.io"),
        ("delete", "jobs.batch"),
        ("delete", "rollouts.argoproj.io"),
        ("create", "rollouts.argoproj.io"),
        ("patch", "workflowtemplates.argoproj.io"),
        ("patch", "cronjobs.batch"),
        ("create", "remediationpolicies.modelmend.io"),
        ("patch", "remediationpolicies.modelmend.io"),
        ("patch", "models.modelmend.io"),
        ("patch", "roles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("impersonate", "users"),
    ],
)
def test_it_may_not(kubectl, where, verb, resource):
    """What an intruder would try first, where modelmend may do most."""
    assert not may(kubectl, where, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"), sorted(set().union(*privileges.granted(privileges.ROLE))), ids=lambda word: word
)
def test_each_right_is_the_only_one_that_lets_it(kubectl, where, verb, resource):
    """Without its verb in its rule that call is refused, and every other call still allowed."""
    whole = set().union(*privileges.granted(privileges.ROLE))
    assert may(kubectl, where, verb, resource)
    try:
        kubectl.apply(role(without=(verb, resource)), namespace=where)
        until(lambda: not may(kubectl, where, verb, resource), "the role without it", SOON)
        assert granted(kubectl, where) - EVERYWHERE == whole - {(verb, resource)}
    finally:
        kubectl("apply", f"--namespace={where}", f"--filename={privileges.ROLE}")
        until(lambda: may(kubectl, where, verb, resource), "its role", SOON)


def role(without):
    """The role without one right."""
    rules = []
    for rule in copy.deepcopy(RULES):
        for resource in rule["resources"]:
            verbs = [
                verb for verb in rule["verbs"] if (verb, privileges.named(rule["apiGroups"][0], resource)) != without
            ]
            rules.append({**rule, "resources": [resource], "verbs": verbs})
    kept = [rule for rule in rules if rule["verbs"]]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "modelmend"},
        "rules": kept,
    }
