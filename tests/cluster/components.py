"""The programs of a node and its addresses; their paths are those inside the node."""

from __future__ import annotations

from tests.cluster import images

NODE = "modelmend-node"
HOST_ADDRESS, NODE_ADDRESS = "10.244.255.1", "10.244.255.2"
PODS, SERVICES, API_SERVICE = "10.244.0.0/24", "10.96.0.0/16", "10.96.0.1"

ETCD = "http://127.0.0.1:2379"
ETCD_URLS = [f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}"]

COMMANDS: dict[str, list[str]] = {
    "etcd": ["etcd", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=warn", *ETCD_URLS],
    "apiserver": [
        "kube-apiserver",
        f"--etcd-servers={ETCD}",
        f"--advertise-address={NODE_ADDRESS}",  # an address of loopback could not be the `kubernetes` service's
        "--tls-cert-file=/mnt/pki/apiserver.crt",
        "--tls-private-key-file=/mnt/pki/apiserver.key",
        "--client-ca-file=/mnt/pki/ca.crt",
        "--kubelet-client-certificate=/mnt/pki/apiserver-kubelet.crt",
        "--kubelet-client-key=/mnt/pki/apiserver-kubelet.key",
        "--kubelet-certificate-authority=/mnt/pki/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--service-account-signing-key-file=/mnt/pki/sa.key",
        "--service-account-key-file=/mnt/pki/sa.pub",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
    ],
    "controller-manager": [
        "kube-controller-manager",
        "--kubeconfig=/mnt/pki/controller-manager.kubeconfig",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        "--service-account-private-key-file=/mnt/pki/sa.key",
        "--root-ca-file=/mnt/pki/ca.crt",
        "--cluster-signing-cert-file=/mnt/pki/ca.crt",
        "--cluster-signing-key-file=/mnt/pki/ca.key",
        "--allocate-node-cidrs=false",
    ],
    "scheduler": [
        "kube-scheduler",
        "--kubeconfig=/mnt/pki/scheduler.kubeconfig",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ],
    "containerd": ["/usr/bin/containerd", "--config=/mnt/config/containerd.toml"],
    "kubelet": [
        "kubelet",
        "--config=/mnt/config/kubelet.yaml",
        "--kubeconfig=/mnt/pki/kubelet.kubeconfig",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    ],
    "kube-proxy": ["kube-proxy", "--config=/mnt/config/kube-proxy.yaml"],
    "workflow-controller": [
        "workflow-controller",
        "--kubeconfig=/mnt/pki/admin.kubeconfig",
        "--namespace=argo",
        f"--executor-image={images.ARGOEXEC}",
        "--executor-image-pull-policy=IfNotPresent",
        "--log-format=json",
        "--qps=200",
        "--burst=400",
    ],
    "rollouts-controller": [
        "rollouts-controller",
        "--kubeconfig=/mnt/pki/admin.kubeconfig",
        "--leader-elect=false",
        "--ingress-api-version=networking/v1",
    ],
}
"""The programs of the node, in the order in which they are started."""

ENVIRONMENT = {
    "LEADER_ELECTION_DISABLE": "true",
    "DEFAULT_REQUEUE_TIME": "1s",  # of the workflow controller: with its own 10 s a finished pod goes unseen that long
}
