"""What docs/kubernetes.md promises of an installation."""

from __future__ import annotations

import pytest

from tests.cluster.host import ClusterError
from tests.e2e.serving import drift, until
from tests.e2e_cluster.installing import NAMESPACE


def test_it_becomes_ready_by_two_commands(installed):
    """`kubectl apply -k` and `kubectl create secret`: then its Service answers, and its only pod has not ended since."""
    assert installed.ask("GET", "/readyz").status_code == 200
    (pod,) = installed.pods()
    assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]


def test_without_its_secret_the_pod_says_which_command_makes_it(installed):
    """Where `kubectl describe pod` shows it, and `kubectl logs`."""
    wanted = "kubectl --namespace modelmend create secret generic modelmend-tokens --from-file=tokens"
    assert wanted in installed.said_without_secret


def test_an_event_posted_to_its_service_is_kept_and_decided(installed):
    """With a token only: it serves other machines."""
    event = drift("installed-1", "nobody-knows-it")
    assert installed.ask("POST", "/events", headers={"Authorization": ""}, json=event).status_code == 401
    assert installed.post(event).status_code == 202
    said = until(lambda: installed.command("explain", "installed-1").stdout, "its explanation")
    assert "nobody-knows-it" in said


def test_what_was_accepted_outlives_the_pod(installed):
    """An upgrade replaces the pod; the next one has the disk of the last."""
    assert installed.post(drift("installed-2", "nobody-knows-it")).status_code == 202
    installed.restart()
    again = installed.post(drift("installed-2", "nobody-knows-it"))
    assert again.json()["duplicates"] == ["installed-2"]


def test_its_namespace_takes_restricted_pods_only(installed, kubectl):
    """Its own pod is one: another that may become root is refused by admission."""
    with pytest.raises(ClusterError, match='violates PodSecurity "restricted'):
        kubectl("run", "root", f"--namespace={NAMESPACE}", "--image=localhost/pause:1")


def test_it_cannot_write_but_to_its_disk_and_to_tmp(installed, kubectl):
    """The root of its file system is read-only."""
    code = "import pathlib, sys; pathlib.Path(sys.argv[1], 'probe').write_text(''); pathlib.Path(sys.argv[1], 'probe').unlink()"
    (pod,) = installed.pods()
    within = ("exec", f"--namespace={NAMESPACE}", pod["metadata"]["name"], "--", "python3", "-c", code)
    for folder in ("/tmp", "/var/lib/modelmend"):
        kubectl(*within, folder)
    for folder in ("/opt/modelmend", "/etc/modelmend/settings", "/etc/modelmend/secrets"):
        with pytest.raises(ClusterError, match="Read-only file system"):
            kubectl(*within, folder)


def test_it_runs_as_nobody_in_particular(installed, kubectl):
    """Without capabilities, without new privileges, under seccomp's filter."""
    (pod,) = installed.pods()
    status = kubectl("exec", f"--namespace={NAMESPACE}", pod["metadata"]["name"], "--", "cat", "/proc/1/status")
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(said["Uid"].split()) == {"65532"}
    assert int(said["CapEff"], 16) == int(said["CapBnd"], 16) == 0
    assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")


def test_applying_it_again_changes_nothing(installed):
    """What is shipped is what runs: no pod is replaced."""
    (before,) = installed.pods()
    installed.apply()
    (after,) = installed.pods()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
