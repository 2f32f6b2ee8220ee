"""From POST to the Workflow in the API server: p50 and p99 at two rates, on the cluster that is up."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

from controller.kube import Kind, Kube
from tests.cluster import cluster
from tests.e2e.serving import Served
from tests.e2e_cluster.arrivals import Arrivals, delays, documents, post_at

NAMESPACE = Kind("", "v1", "namespaces", namespaced=False, name="Namespace")


def workflow_latency() -> list[tuple[float, int, float, float]]:
    """Rate, events, p50 ms, p99 ms; Workflows are suspended ones, each for a model of its own."""
    runs = ((2.5, 100), (20.0, 400))
    kube = Kube.connect(cluster.current().kubeconfig)
    namespace = f"t-bench-{uuid.uuid4().hex[:6]}"
    kube.create(NAMESPACE, None, {"metadata": {"name": namespace}})
    with tempfile.TemporaryDirectory() as folder:
        warm = 20
        served = Served(
            Path(folder),
            documents(namespace, warm + sum(count for _, count in runs)),
            kubernetes=True,
            kubeconfig=str(cluster.current().kubeconfig),
        )
        arrivals = Arrivals(kube, namespace)
        try:
            served.start()
            delays(arrivals, post_at(served.url, 10, 0, warm))
            found, first = [], warm
            for rate, count in runs:
                found.append((rate, count, *delays(arrivals, post_at(served.url, rate, first, count))))
                first += count
            return found
        finally:
            served.close()
            arrivals.stop()
            kube.delete(NAMESPACE, None, namespace)
            kube.close()


if __name__ == "__main__":
    print("| events/s | events | p50 ms | p99 ms |\n|---|---|---|---|")
    for rate, count, median, worst in workflow_latency():
        print(f"| {rate:g} | {count} | {median:.1f} | {worst:.1f} |")
