"""The node's programs, built from their published Go modules; cold that takes 20 minutes, so builds are kept by hash."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

from tests.cluster.host import CACHE, HERE, ClusterError, digest, environment, room, run, say

GO = HERE / "go"
KUBERNETES, WORKFLOWS, ROLLOUTS = (
    "k8s.io/kubernetes",
    "github.com/argoproj/argo-workflows/v3",
    "github.com/argoproj/argo-rollouts",
)
PACKAGES = {
    "pause": ("pause", "."),
    "etcd": ("kube", "go.etcd.io/etcd/server/v3"),
    **{
        name: ("kube", f"{KUBERNETES}/cmd/{name}")
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    },
    "rollouts-controller": ("rollouts", f"{ROLLOUTS}/cmd/rollouts-controller"),
    "workflow-controller": ("argo", f"{WORKFLOWS}/cmd/workflow-controller"),
    "argoexec": ("argo", f"{WORKFLOWS}/cmd/argoexec"),
}
"""Program: the folder with its go.mod, and its package."""

CRDS = {
    "argo": (WORKFLOWS, "manifests/base/crds/full/argoproj.io_*.yaml"),  # full: with schemas, as a careful cluster has
    "rollouts": (ROLLOUTS, "manifests/crds/*-crd.yaml"),
}


def version(folder: str, module: str) -> str:
    """The version of `module` in the go.mod of `folder`: the one place where it stands."""
    found = re.search(
        rf"^\s*(?:require )?{re.escape(module)} (v\S+)", (GO / folder / "go.mod").read_text(), re.MULTILINE
    )
    if not found:
        raise ClusterError(f"{GO / folder / 'go.mod'}: no {module}")
    return found[1]


def build() -> Path:
    """The folder of the programs and of Argo's CRDs, built where that has not been done yet."""
    folder = CACHE / f"programs-{digest(GO, Path(__file__))}"
    if folder.exists():
        return folder
    go = Go()
    room(CACHE, 4, "building the node's programs")
    for what, where in go.caches().items():
        room(where, 12, f"Go's {what}, for building the node's programs,")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="building-") as made:
        work = Path(made)
        result = work / folder.name
        say("building the node's programs (once; about 20 minutes on two cores, downloads included)")
        for program, (module, package) in PACKAGES.items():
            source = with_lost_link(go, work) if program == "argoexec" else GO / module
            say(f"building {program}")
            go("build", "-trimpath", "-ldflags", linker_flags(), "-o", result / program, package, cwd=source)
        for module, (name, pattern) in CRDS.items():
            for crd in go.source(module, name).glob(pattern):
                (result / "crds").mkdir(exist_ok=True)
                shutil.copyfile(crd, result / "crds" / crd.name)
        result.rename(folder)
    return folder


def linker_flags() -> str:
    """Sets Kubernetes' version: clients read it from the server, and argo-rollouts needs a number for its minor."""
    number = version("kube", KUBERNETES)
    major, minor, _ = number.removeprefix("v").split(".")
    values = {"gitVersion": number, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())]
    )


def with_lost_link(go: Go, work: Path) -> Path:
    """A go.mod folder for argoexec: upstream's signal_linux.go is a symbolic link, and module archives leave links out."""
    upstream, folder = work / "argo-workflows", work / "argo"
    shutil.copytree(go.source("argo", WORKFLOWS), upstream, copy_function=shutil.copyfile)
    for path in (upstream, *upstream.rglob("*")):
        path.chmod(0o755)  # the module cache is read-only, its folders too
    (upstream / "workflow/executor/osspecific/signal_linux.go").symlink_to("signal_darwin.go")
    shutil.copytree(GO / "argo", folder)
    go("mod", "edit", "-replace", f"{WORKFLOWS}={upstream}", cwd=folder)
    return folder


class Go:
    """The Go toolchain of this machine; `go(...)` runs a command of it."""

    def __init__(self) -> None:
        path = environment()["PATH"] + ":/usr/local/go/bin"
        self._program = shutil.which("go", path=path)
        wanted = re.search(r"^go (\d+)\.(\d+)", (GO / "kube" / "go.mod").read_text(), re.MULTILINE)
        assert wanted
        needs = f"building the node's programs needs Go {wanted[1]}.{wanted[2]} or later (https://go.dev/dl/)"
        if not self._program:
            raise ClusterError(f"{needs}: no `go` on the PATH, nor in /usr/local/go/bin")
        # In the folder of a go.mod, where a toolchain that may fetch a newer one tells that one's version.
        here = self("env", "GOVERSION", cwd=GO / "kube").strip()
        found = re.match(r"go(\d+)\.(\d+)", here)
        if found and tuple(map(int, found.groups())) < tuple(map(int, wanted.groups())):
            raise ClusterError(f"{needs}: {self._program} is {here}")

    def __call__(self, *arguments: str | Path, cwd: Path) -> str:
        assert self._program
        settings = {"GOWORK": "off", "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
        return run(self._program, *arguments, cwd=cwd, env=settings, timeout=3600)

    def caches(self) -> dict[str, Path]:
        """Where Go keeps what it builds and downloads."""
        names = {"build cache": "GOCACHE", "module cache": "GOMODCACHE"}
        return {what: Path(self("env", name, cwd=GO / "kube").strip()) for what, name in names.items()}

    def source(self, folder: str, module: str) -> Path:
        """The folder with the source of `module`, downloaded where it is not there yet."""
        return Path(json.loads(self("mod", "download", "-json", module, cwd=GO / folder))["Dir"])
