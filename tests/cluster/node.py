"""A single node on this machine: etcd, Kubernetes, containerd, Argo Workflows and Argo Rollouts, from locked sources.

Everything runs in mount, network and process namespaces of its own, held open by one process. When that one is killed,
the kernel ends every other, containers too, and takes their mounts, addresses and rules with them. What remains are
the state folder, the cgroups and the host's end of the cable, and `down` removes those.

Inside, the state folder is /mnt, and /run, /var/lib and /var/log belong to the node, so that all paths are fixed.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.cluster import argo, host, images, pki, programs, volumes
from tests.cluster.components import (
    API_SERVICE,
    COMMANDS,
    ENVIRONMENT,
    HOST_ADDRESS,
    NODE,
    NODE_ADDRESS,
    PODS,
    SERVICES,
)
from tests.cluster.host import CACHE, HERE, ClusterError, run, say, until

STATE = CACHE / "node"
KUBECONFIG = STATE / "pki" / "admin.kubeconfig"
HOLDER = STATE / "holder"
CGROUP = "modelmend"  # as in config/kubelet.yaml
CABLE = "modelmend0"

PREPARE = f"""
set -e
mount --bind "$PROGRAMS" "$STATE/bin"
mount --rbind "$STATE" /mnt
mkdir /mnt/lib/containerd
mount -t tmpfs tmpfs /mnt/lib/containerd   # the ten thousand files of an image: 10 s sooner gone
mount -t tmpfs tmpfs /run
mount --rbind /mnt/lib /var/lib
mount --bind /mnt/log /var/log
ip link set lo up
ip link add cni0 type bridge
ip addr add 10.244.0.1/24 dev cni0
ip link set cni0 up
ip addr add {NODE_ADDRESS}/30 dev {CABLE}
ip link set {CABLE} up
ip route add default dev cni0   # leads nowhere, but the address of a service needs a route before it is rewritten
echo 1 >/proc/sys/net/ipv4/ip_forward
"""


def up() -> Path:
    """Start the node; its kubeconfig."""
    host.check()
    if alive():
        raise ClusterError(f"a node is up already ({STATE}): use it, or take it down with `make cluster-down`")
    down()
    host.install_packages()
    check_addresses()
    built = programs.build()
    archives = images.build(built)
    host.kubectl()
    try:
        say("starting the node")
        hold(built)
        start_all(built, archives)
    except BaseException as error:
        said = logs()
        down()
        if isinstance(error, ClusterError):
            raise ClusterError(f"{error}\n{said}") from error
        raise
    return KUBECONFIG


def down() -> None:
    """Take the node down, or what is left of one, and remove every trace but the cache of builds."""
    if not STATE.exists():
        return  # the cable and the cgroups of a node of another cache folder are not ours
    if (pid := alive()) is not None:
        os.kill(pid, signal.SIGKILL)
        until(lambda: alive() is None, 30, "the end of the node's processes")
    if Path("/sys/class/net", CABLE).exists():
        with suppress(ClusterError):  # it goes by itself when the kernel has cleared the namespace
            run("ip", "link", "delete", CABLE)
    until(cgroups_removed, 30, f"the removal of the cgroups /sys/fs/cgroup/*/{CGROUP}")
    shutil.rmtree(STATE)


def load(archive: Path) -> None:
    """Give the node the images of a docker or OCI archive."""
    with archive.open("rb") as content:
        inside("ctr", "--namespace=k8s.io", "images", "import", "-", stdin=content, timeout=300)


def stop(program: str) -> None:
    """End a program of the node as a crash does; in order, the API server would take a minute."""
    if not running(program):
        raise ClusterError(f"{program} is not running")
    inside("sh", "-c", f"kill -KILL {(STATE / 'pid' / program).read_text()}")
    until(lambda: not running(program), 10, f"the end of {program}")


def start(program: str) -> None:
    """Start a program of the node; it may not be ready yet."""
    if running(program):
        raise ClusterError(f"{program} is running already")
    into = f">>/mnt/log/{program}.log 2>&1 </dev/null & echo $! >/mnt/pid/{program}"
    inside("sh", "-c", f'cd /; PATH=/mnt/bin:$PATH; setsid "$@" {into}', program, *COMMANDS[program], env=ENVIRONMENT)


def running(program: str) -> bool:
    """Whether a program of the node, once started, still runs."""
    recorded = STATE / "pid" / program
    return recorded.exists() and answers("sh", "-c", f"kill -0 {recorded.read_text()}")


def alive() -> int | None:
    """The process that holds the node's namespaces, or None; a number that another process has got since is none."""
    if not HOLDER.exists():
        return None
    pid, namespace = HOLDER.read_text().split()
    try:
        return int(pid) if process_namespace(pid) == namespace else None
    except OSError:
        return None


def process_namespace(pid: str) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def inside(*command: str | Path, **how: object) -> str:
    """Run a command in the node's namespaces."""
    pid = alive()
    if pid is None:
        raise ClusterError("no node is up here: `make cluster-up`")
    return run("nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--root", "--", *command, **how)  # type: ignore[arg-type]


def check_addresses() -> None:
    """Refuse where this machine reaches other things by the node's addresses, such as a second cluster."""
    if Path("/sys/class/net", CABLE).exists():
        raise ClusterError(f"a node of another cache folder is up here (there is a {CABLE}): take it down there")
    wanted = [ipaddress.ip_network(text) for text in ("10.244.0.0/16", SERVICES)]
    for route in json.loads(run("ip", "-json", "-4", "route", "show", "table", "main")):
        if route["dst"] == "default":
            continue
        taken = ipaddress.ip_network(route["dst"])
        for network in wanted:
            if taken.overlaps(network):
                raise ClusterError(
                    f"this machine has a route to {taken} by {route.get('dev')}, and a node needs {network}"
                )


def hold(built: Path) -> None:
    """Make the namespaces, the process that holds them, and the cable to them."""
    for name in ("bin", "lib", "log", "pid"):
        (STATE / name).mkdir(parents=True)
    shutil.copytree(HERE / "config", STATE / "config")
    pki.write(STATE / "pki", node=NODE, address=NODE_ADDRESS, service=API_SERVICE)
    namespaces = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    outer = subprocess.Popen(
        ["unshare", *namespaces, built / "pause"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    until(lambda: bool(children.read_text()), 10, "the namespaces of the node")
    pid = children.read_text().strip()
    HOLDER.write_text(f"{pid} {process_namespace(pid)}")
    for controller in cgroup_roots():
        (controller / CGROUP).mkdir(exist_ok=True)
    run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", pid)
    run("ip", "addr", "add", f"{HOST_ADDRESS}/30", "dev", CABLE)
    run("ip", "link", "set", CABLE, "up")
    inside("sh", "-c", PREPARE, env={"PROGRAMS": str(built), "STATE": str(STATE)})
    for network in (PODS, SERVICES):
        run("ip", "route", "add", network, "via", NODE_ADDRESS)


def start_all(built: Path, archives: Path) -> None:
    """Start every program when what it needs is ready."""
    kubectl = argo.Kubectl(KUBECONFIG)
    for program in ("etcd", "containerd", "apiserver"):
        start(program)
    until(lambda: answers("ctr", "version"), 30, "an answer of containerd")
    for archive in sorted(archives.glob("*.tar")):
        load(archive)
    until(kubectl.answers, 120, "an answer of the API server")
    for program in ("controller-manager", "scheduler", "kubelet", "kube-proxy"):
        start(program)
    volumes.make(kubectl, STATE / "lib")
    argo.prepare(kubectl, built / "crds")
    for program in ("workflow-controller", "rollouts-controller"):
        start(program)
    kubectl("wait", "--for=create", f"node/{NODE}", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=90s")
    kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    for program in COMMANDS:
        if not running(program):
            raise ClusterError(f"{program} has ended")


def answers(*command: str) -> bool:
    """Whether a command in the node succeeds."""
    try:
        inside(*command)
    except ClusterError:
        return False
    return True


def cgroup_roots() -> list[Path]:
    """The root of every cgroup hierarchy: one of version 2, or one for each controller of version 1."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root]
    return [folder for folder in root.iterdir() if not folder.is_symlink() and (folder / "cgroup.procs").exists()]


def cgroups_removed() -> bool:
    """Remove the node's cgroups; whether all are gone (the kernel takes a moment to empty them)."""
    for root in cgroup_roots():
        for folder, _, _ in os.walk(root / CGROUP, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    return not any((root / CGROUP).exists() for root in cgroup_roots())


def logs() -> str:
    """The last lines of every program, for the message of a start that failed."""
    said = []
    for program in COMMANDS:
        with suppress(FileNotFoundError):
            lines = (STATE / "log" / f"{program}.log").read_text(errors="replace").splitlines()
            said += [f"{program}{'' if running(program) else ' (ended)'}: {line[:250]}" for line in lines[-5:]]
    return "\n".join(said)
