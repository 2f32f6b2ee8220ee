"""What tests with a real Prometheus share: an exporter, and the Prometheus that scrapes it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.integration.prometheus.server import Prometheus


@dataclass
class Exporter:
    """A model server's metrics: `accuracy` by version and pod."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))

    def __post_init__(self) -> None:
        labels = ("model", "version", "pod")
        self._accuracy = Gauge("accuracy", "as measured", labels, registry=self.registry)
        self.pushed = Gauge("push_time_seconds", "when", registry=self.registry)
        self._server, self._thread = start_http_server(0, addr="127.0.0.1", registry=self.registry)
        self.port = self._server.server_port

    def is_now(self, version: str, value: float, pod: str = "a") -> None:
        """What a version's pod measures from now on."""
        self._accuracy.labels("salary", version, pod).set(value)

    def dies(self) -> None:
        """It is no longer there."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    found = Exporter()
    yield found
    found.dies()


@pytest.fixture
def prometheus(tmp_path: Path, exporter: Exporter) -> Iterator[Prometheus]:
    """It scrapes the exporter once a second."""
    scrape = {"job_name": "model", "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}]}
    with Prometheus(tmp_path, scrape) as found:
        yield found
