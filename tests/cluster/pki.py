"""The node's certificates, keys and kubeconfigs: everything is authenticated, as in production."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.cluster.host import run

CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "apiserver-kubelet": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
}
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "365")
AUTHORITY = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 and later trust no authority without it


def write(folder: Path, *, node: str, address: str, service: str) -> None:
    """Write a new authority and all it signs, for the node `node` at `address`; `service` is the API's own service."""
    folder.mkdir(mode=0o700)
    run(
        "openssl",
        "req",
        "-x509",
        *P256,
        "-subj",
        "/CN=modelmend-cluster",
        *AUTHORITY,
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        cwd=folder,
    )
    run("openssl", "genrsa", "-out", "sa.key", "2048", cwd=folder)
    run("openssl", "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub", cwd=folder)
    api = "kubernetes.default.svc.cluster.local"
    names = [api.rsplit(".", cut)[0] for cut in range(1, 5)]
    alternatives = ",".join(
        [*(f"DNS:{name}" for name in ("localhost", api, *names)), f"IP:127.0.0.1,IP:{service},IP:{address}"]
    )
    server = "extendedKeyUsage=serverAuth"
    sign(folder, "apiserver", "/CN=kube-apiserver", server, f"subjectAltName={alternatives}")
    sign(folder, "kubelet-server", f"/CN={node}", server, f"subjectAltName=DNS:{node},IP:{address}")
    for name, subject in (*CLIENTS.items(), ("kubelet", f"/O=system:nodes/CN=system:node:{node}")):
        sign(folder, name, subject, "extendedKeyUsage=clientAuth")
        (folder / f"{name}.kubeconfig").write_text(kubeconfig(folder, name, f"https://{address}:6443"))


def sign(folder: Path, name: str, subject: str, *extensions: str) -> None:
    added = [part for extension in extensions for part in ("-addext", extension)]
    signer = ("-extensions", "usr_cert", "-CA", "ca.crt", "-CAkey", "ca.key")  # usr_cert: is no authority itself
    out = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
    run("openssl", "req", "-x509", *P256, "-subj", subject, *added, *signer, *out, cwd=folder)


def kubeconfig(folder: Path, user: str, server: str) -> str:
    """One file with all in it, so that it can be read inside the node and outside. JSON is YAML."""

    def data(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "modelmend", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")},
                }
            ],
            "contexts": [
                {"name": "modelmend", "context": {"cluster": "modelmend", "user": user, "namespace": "default"}}
            ],
            "current-context": "modelmend",
        },
        indent=1,
    )
