"""Which versions serve, read from real objects as people change them."""

from __future__ import annotations

import pytest

from tests.e2e_cluster.acting import degraded
from tests.integration.cluster.serving import Served, deployment, rollout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

TELL = """\
kind: RemediationPolicy
metadata: {{name: tell}}
spec:
  mode: audit
  models: {{names: [salary]}}
  triggers: [{{type: ml.performance.degraded, when: 'event.role == "canary"'}}]
  steps: [{{name: page, page: {{}}}}]
---
kind: Model
metadata: {{name: salary}}
spec:
  serving: {{kind: {kind}, name: salary, version: {{env: VERSION}}}}
  versionNames: ["salary-{{version}}"]
"""


def reach(stage, **known):
    """Wait until this is known of the model."""

    def there():
        model = stage.model()
        return model if {key: model[key] for key in known} == known else None

    return stage.until(there, f"the model to be {known}")


def test_a_rollout_is_read_as_people_abort_and_promote(stage, kube, namespace):
    """Canary beside stable; aborted, it is a former version; the next one promoted by a person: deployed by others."""
    served = Served(kube, namespace, rollout(steps=[{"setWeight": 50}, {"pause": {}}]))
    stage = stage(TELL.format(kind="Rollout"))
    stage.start()
    assert reach(stage, stable="v5", canary=None)["deployedAt"] is None

    served.canary("v6")
    reach(stage, stable="v5", canary="v6")
    stage.post(degraded("e-stable", "v5"), degraded("e-canary", "v6"))
    stage.until(lambda: stage.answers("e-canary") == ["audit"], "an answer")
    assert stage.answers("e-stable") == ["condition_false"]
    assert "about version v6, the canary: v5 is stable" in stage.explain("e-canary")

    served.abort()
    reach(stage, stable="v5", canary=None)
    stage.post(degraded("e-aborted", "v6"))
    stage.until(lambda: stage.answers("e-aborted") == ["stale"], "an answer")

    served.canary("v7")
    reach(stage, canary="v7")
    served.set({"status": {"promoteFull": True}}, "status")
    served.until(lambda found: found["status"]["stableRS"] == found["status"]["currentPodHash"])
    model = reach(stage, stable="v7", canary=None)
    assert model["deployedBy"] == "others"
    assert model["deployedAt"]
    shown = stage.served.run("models", "--namespace", namespace)
    assert "v7" in shown.stdout


def test_a_deployment_is_read_as_it_changes(stage, kube, namespace):
    """One version, never a canary; learnt again where the process was away meanwhile; deleted: kept, and marked."""
    served = Served(kube, namespace, deployment(), "Deployment")
    stage = stage(TELL.format(kind="Deployment"))
    stage.start()
    reach(stage, stable="v5", arriving=None)
    served.deploy("v6")
    assert reach(stage, stable="v6", canary=None, arriving=None)["deployedBy"] == "others"

    stage.served.kill()
    served.deploy("v7")
    served.until(served._serves)
    stage.start()
    reach(stage, stable="v7", arriving=None)
    kube.delete(served.kind, namespace, "salary")
    stage.until(lambda: stage.model()["unknownSince"], "the model to be marked")
    assert stage.model()["stable"] == "v7"
