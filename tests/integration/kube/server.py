"""A real etcd and API server on loopback, without nodes or controllers: stopped, started and compacted by the test."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import requests

from tests.cluster import pki, programs


def built() -> Path:
    """The folder of the programs: $MODELMEND_PROGRAMS, else built where that has not been done yet."""
    given = os.environ.get("MODELMEND_PROGRAMS")
    return Path(given) if given else programs.build()


class ApiServer:
    """One API server; `kubeconfig` is its administrator's."""

    def __init__(self, folder: Path) -> None:
        self._bin = built()
        self._folder = folder
        self._pki = folder / "pki"
        pki.write(self._pki, node="none", address="127.0.0.1", service="10.96.0.1")
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            for each in (one, two, three):
                each.bind(("127.0.0.1", 0))
            self.port, self._etcd_port, peers = (each.getsockname()[1] for each in (one, two, three))
        self.url = f"https://127.0.0.1:{self.port}"
        self.etcd = f"http://127.0.0.1:{self._etcd_port}"
        self._peers = f"http://127.0.0.1:{peers}"
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(pki.kubeconfig(self._pki, "admin", self.url))
        self._programs: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def authority(self) -> Path:
        """The certificate that clients must trust."""
        return self._pki / "ca.crt"

    def up(self) -> None:
        """Start both and wait until the API is ready."""
        peers = [f"--listen-peer-urls={self._peers}", f"--initial-advertise-peer-urls={self._peers}"]
        data = ["--data-dir", str(self._folder / "etcd"), "--unsafe-no-fsync", "--log-level=warn"]
        clients = [f"--listen-client-urls={self.etcd}", f"--advertise-client-urls={self.etcd}"]
        self._start("etcd", *data, *clients, *peers, f"--initial-cluster=default={self._peers}")
        self.start()

    def start(self) -> None:
        """Start the API server (again) and wait until it is ready."""
        self.launch()
        self._until_ready()

    def launch(self) -> None:
        """Start the API server and do not wait."""
        account = ["--service-account-issuer=https://kubernetes.default.svc.cluster.local"]
        account += [f"--service-account-signing-key-file={self._pki}/sa.key"]
        account += [f"--service-account-key-file={self._pki}/sa.pub"]
        tls = [f"--tls-cert-file={self._pki}/apiserver.crt", f"--tls-private-key-file={self._pki}/apiserver.key"]
        own = ["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self.port}"]
        own += ["--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", "--profiling=false"]
        own += ["--endpoint-reconciler-type=none", "--etcd-compaction-interval=0", "--shutdown-delay-duration=0"]
        etcd, clients = f"--etcd-servers={self.etcd}", f"--client-ca-file={self._pki}/ca.crt"
        self._start("kube-apiserver", etcd, clients, *tls, *account, *own)

    def kill(self) -> None:
        """End the API server without a goodbye."""
        self._end("kube-apiserver", kill=True)

    def down(self) -> None:
        """End both."""
        for program in list(self._programs):
            self._end(program, kill=True)

    def compact(self) -> None:
        """Make etcd forget everything but the present."""
        status = requests.post(f"{self.etcd}/v3/maintenance/status", json={}, timeout=10).json()
        revision = status["header"]["revision"]
        requests.post(f"{self.etcd}/v3/kv/compaction", json={"revision": revision, "physical": True}, timeout=30)

    def _start(self, program: str, *arguments: str) -> None:
        with (self._folder / f"{program}.log").open("ab") as log:
            self._programs[program] = subprocess.Popen(
                ["nice", "-n", "5", self._bin / program, *arguments], stdout=log, stderr=log, start_new_session=True
            )

    def _end(self, program: str, *, kill: bool) -> None:
        process = self._programs.pop(program)
        process.kill() if kill else process.terminate()
        process.wait(30)

    def _until_ready(self, seconds: float = 120) -> None:
        process, deadline = self._programs["kube-apiserver"], time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if requests.get(f"{self.url}/readyz", verify=self.authority, timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)
        log = (self._folder / "kube-apiserver.log").read_text(errors="replace")
        raise AssertionError(f"the API server did not get ready:\n{log[-3000:]}")
