"""Where no cluster can be had, the message says why and what helps. These need no cluster, no root and no Go."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cluster import cluster, given, host, kind, node, programs
from tests.cluster.__main__ import main
from tests.cluster.components import COMMANDS
from tests.cluster.host import ClusterError


@pytest.fixture(autouse=True)
def _nothing_there(monkeypatch, tmp_path):
    """A machine on which nothing has been done yet."""
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(host, "CACHE", tmp_path)
    monkeypatch.setattr(host, "KUBECTL_REMEMBERS", tmp_path / "discovery")
    monkeypatch.setattr(programs, "CACHE", tmp_path)
    monkeypatch.setattr(cluster, "RECORD", tmp_path / "cluster.json")
    monkeypatch.setattr(node, "STATE", tmp_path / "node")
    monkeypatch.setattr(node, "HOLDER", tmp_path / "holder")
    monkeypatch.setattr(node, "CABLE", "modelmend-none")


def refusal(of, *arguments):
    """What `of` says when it refuses."""
    with pytest.raises(ClusterError) as refused:
        of(*arguments)
    return str(refused.value)


def test_a_node_is_refused_where_the_system_is_not_linux(monkeypatch):
    """Another system is named, and the two other ways."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert refusal(host.check) == "a node runs on Linux, this is darwin: use CLUSTER=kind, or set KUBECONFIG"


def test_a_node_is_refused_to_who_is_not_root(monkeypatch):
    """Before anything is installed or built."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert (
        refusal(node.up)
        == "a node needs root, for namespaces and cgroups: be root, use CLUSTER=kind, or set KUBECONFIG"
    )


def test_a_build_is_refused_where_there_is_no_go(monkeypatch):
    """The version that is needed comes from go.mod."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "needs Go 1.26 or later (https://go.dev/dl/): no `go` on the PATH" in refusal(programs.build)


def test_a_build_is_refused_where_go_is_too_old(monkeypatch):
    """Go before 1.21 would say of a newer go.mod only that it cannot be read."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/go")
    monkeypatch.setattr(programs, "run", lambda *_, **__: "go1.19.8\n")
    assert refusal(programs.build).endswith("(https://go.dev/dl/): /usr/bin/go is go1.19.8")


def test_a_build_is_refused_where_the_disk_has_no_room(tmp_path):
    """The folder, what is needed and what is free are named; the folder need not exist yet."""
    assert refusal(host.room, tmp_path / "go" / "cache", 1e6, "building").startswith(
        f"building needs 1000000 GB in {tmp_path}, "
    )


def test_a_second_node_is_refused_while_one_is_up(monkeypatch):
    """The one that is up is left as it is."""
    monkeypatch.setattr(host, "check", lambda: None)
    node.HOLDER.write_text(f"{os.getpid()} {node.process_namespace(str(os.getpid()))}")
    assert refusal(node.up).startswith("a node is up already (")


def test_a_process_that_has_got_the_holders_number_is_not_taken_for_it():
    """So `down` never ends a stranger."""
    node.HOLDER.write_text(f"{os.getpid()} pid:[1]")
    assert node.alive() is None


def test_addresses_that_are_routed_elsewhere_are_refused(monkeypatch):
    """A second cluster, or a private network, would become unreachable."""
    routes = [{"dst": "default", "dev": "eth0"}, {"dst": "10.96.1.0/24", "dev": "tun0"}]
    monkeypatch.setattr(node, "run", lambda *_: json.dumps(routes))
    assert (
        refusal(node.check_addresses)
        == "this machine has a route to 10.96.1.0/24 by tun0, and a node needs 10.96.0.0/16"
    )


def test_a_node_of_another_cache_folder_is_left_alone(monkeypatch):
    """Its cable is refused by `up`, and `down` without a folder of its own touches nothing."""
    monkeypatch.setattr(node, "CABLE", "lo")
    assert refusal(node.check_addresses).startswith("a node of another cache folder is up here (there is a lo)")
    monkeypatch.setattr(node, "run", lambda *_: pytest.fail("down ran something"))
    node.down()


def test_an_unknown_way_is_refused(monkeypatch):
    """The known ones are listed."""
    monkeypatch.setenv("CLUSTER", "minikube")
    assert refusal(cluster.up) == "CLUSTER=minikube: want one of given, kind, node"


def test_a_kubeconfig_that_does_not_exist_is_refused(monkeypatch):
    """A list of files, which kubectl would take, is none."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere/a:/nowhere/b")
    assert refusal(cluster.up) == "KUBECONFIG=/nowhere/a:/nowhere/b: want one file that exists"


def test_a_given_cluster_is_left_as_it_is(monkeypatch):
    """And so is a node that runs beside it."""
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    monkeypatch.setattr(node, "down", lambda: pytest.fail("took the node down"))
    cluster.down()


def test_a_given_cluster_takes_no_archives():
    """How images get there is its owner's matter."""
    assert refusal(given.load, Path("image.tar")).startswith("a given cluster takes no image archives")


def test_kind_is_refused_where_no_container_engine_answers(monkeypatch):
    """An engine whose daemon is not running is none."""
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    assert refusal(kind.up) == "CLUSTER=kind needs docker or podman, and none answers here (is its daemon running?)"


def test_kind_is_refused_where_it_is_not_installed(monkeypatch):
    """With the address where it is to be had."""
    monkeypatch.setattr(kind, "engine", lambda: "docker")
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    assert "no `kind` on the PATH: https://kind.sigs.k8s.io/" in refusal(kind.up)


def test_our_own_kubeconfig_is_not_taken_for_a_given_one(monkeypatch):
    """After `eval "$(python -m tests.cluster env)"` a second `up` still means a node."""
    monkeypatch.setenv("KUBECONFIG", str(node.KUBECONFIG))
    assert cluster.chosen() == "node"


def test_two_that_work_at_once_are_refused():
    """The second says so, instead of waiting in silence."""
    with host.alone():
        assert refusal(cluster.down) == "another `up` or `down` is at work: wait until it has ended"


def test_commands_end_with_a_message_where_no_cluster_is_up(monkeypatch, capsys):
    """On standard error, so that `eval` of nothing does no harm; the exit status is 1."""
    monkeypatch.setattr(sys, "argv", ["cluster", "env"])
    assert main() == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "cluster: no cluster is up: `make cluster-up`\n")


def test_every_program_of_the_node_is_built_or_installed():
    """The node starts nothing that nobody brings."""
    started = {command[0] for command in COMMANDS.values()}
    assert started - programs.PACKAGES.keys() == {"/usr/bin/containerd"}
