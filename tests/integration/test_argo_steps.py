"""What the steps of argo/ do at their edges: the API server over HTTP, git in repositories, the server of a model."""

import json
import shutil
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import joblib
import pytest
import requests

from argo.git import set_version as module
from argo.git.credentials import authorization
from argo.git.set_version import Change, Done, parse, set_version
from argo.retrain.data import load
from argo.retrain.model import fit
from argo.retrain.registry import Registry
from argo.serve import serve
from argo.steps.api import Api, Changed, Missing, Refused, Unreachable
from argo.steps.step import StepFailed
from tests.integration.cluster.git_server import git, repository
from tests.integration.http_double import DROP, HttpDouble, Reply

ARGO = Path(__file__).parents[2] / "argo"


def said(status, message, reason=""):
    body = {"kind": "Status", "code": status, "message": message, "reason": reason}
    return Reply(status, json.dumps(body).encode())


# ── the API server ──────────────────────────────────────────────────────────────────────────────


def test_a_read_and_a_patch_go_where_the_object_is():
    """With the token of the moment, as a merge patch, under our name as the manager; names are escaped."""
    tokens = iter(["first", "second"])
    with HttpDouble(Reply(200, b'{"kind": "Rollout"}')) as double:
        api = Api(double.url, "ml", lambda: next(tokens))
        assert api.get("Rollout", "salary") == {"kind": "Rollout"}
        api.patch("Deployment", "a/b?c", {"spec": {"replicas": 2}})
        read, change = double.wait_for(2)
    assert (read.method, read.path) == ("GET", "/apis/argoproj.io/v1alpha1/namespaces/ml/rollouts/salary")
    assert (change.method, change.path) == (
        "PATCH",
        "/apis/apps/v1/namespaces/ml/deployments/a%2Fb%3Fc?fieldManager=modelmend-argo",
    )
    assert (change.headers["content-type"], json.loads(change.body)) == (
        "application/merge-patch+json",
        {"spec": {"replicas": 2}},
    )
    assert [each.headers["authorization"] for each in (read, change)] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (said(404, 'rollouts "salary" not found'), Missing, 'Rollout ml/salary: rollouts "salary" not found'),
        (said(403, "cannot get"), Refused, "Rollout ml/salary: cannot get"),
        (Reply(422, b"no JSON"), Refused, "Rollout ml/salary: HTTP 422"),
        (said(409, "modified"), Changed, "Rollout ml/salary: modified"),
        (said(429, "slow down"), Unreachable, "the API server answered 429: slow down"),
        (Reply(503, b"[]"), Unreachable, "the API server answered 503: HTTP 503"),
        (Reply(200, b"no JSON"), Unreachable, "the API server does not answer: "),
        (DROP, Unreachable, "the API server does not answer: "),
    ],
)
def test_each_refusal_says_whether_asking_again_helps(reply, error, message):
    """Missing and Refused end a step, Changed and Unreachable are tried again."""
    with HttpDouble(reply) as double, pytest.raises(error) as raised:
        Api(double.url, "ml", lambda: "token").get("Rollout", "salary")
    assert type(raised.value) is error
    assert str(raised.value).startswith(message)


def test_no_name_asks_for_nothing():
    """It would be a list of all."""
    with HttpDouble() as double:
        with pytest.raises(StepFailed, match="want the name of a Rollout, got none"):
            Api(double.url, "ml", lambda: "token").get("Rollout", "")
        assert double.arrived == []


def test_outside_a_pod_there_is_no_api_server(monkeypatch):
    """It is said, and nothing is guessed."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(StepFailed, match="this is no pod with a service account"):
        Api.of_this_pod()


# ── the image without this project ──────────────────────────────────────────────────────────────


def test_a_step_runs_with_nothing_but_what_its_image_has(tmp_path):
    """The standard library and argo/steps: neither modelmend nor what it needs."""
    (tmp_path / "argo").mkdir()
    shutil.copy(ARGO / "__init__.py", tmp_path / "argo")
    shutil.copytree(ARGO / "steps", tmp_path / "argo" / "steps")
    done = subprocess.run(
        [sys.executable, "-S", "-m", "argo.steps.deploy", "--kind=Pod"],
        cwd=tmp_path,
        env={"OUTPUTS": str(tmp_path / "outputs")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("argument --kind: invalid choice: 'Pod'")


# ── git ─────────────────────────────────────────────────────────────────────────────────────────

FILE = "images:\n- name: salary\n  newTag: v4\n"


@pytest.fixture
def bare(tmp_path):
    """A team's repository, with a link and a file beside it that no step may touch."""
    return repository(tmp_path / "team", {"kustomization.yaml": FILE})


def change(bare, **other):
    given = {
        "repository": str(bare),
        "base": "",
        "branch": "modelmend/r-1",
        "path": "kustomization.yaml",
        "key": "images[0].newTag",
        "value": "v5",
        "kind": "",
        "name": "",
        "message": "Set salary to v5",
    }
    return Change(**{**given, **other})


@pytest.fixture
def commit(tmp_path):
    """Carry a change out in a folder of its own."""
    count = iter(range(99))

    def commit(wanted):
        work = tmp_path / f"work-{next(count)}"
        work.mkdir()
        return set_version(wanted, work)

    return commit


def shown(bare, branch):
    return git(bare, "show", f"{branch}:kustomization.yaml") + "\n"


def test_a_commit_is_made_once(bare, commit):
    """The second time the branch has the version: the same commit, and it says that it made none."""
    first, second = commit(change(bare)), commit(change(bare))
    assert (first.new, first.branch) == (True, "modelmend/r-1")
    assert second == Done(first.commit, "modelmend/r-1", new=False)
    assert (shown(bare, "modelmend/r-1"), shown(bare, "main")) == (FILE.replace("v4", "v5"), FILE)


@pytest.mark.parametrize("base", ["", "main"])
def test_a_version_that_stands_where_the_branch_would_begin_is_there(bare, commit, base):
    """No branch is made of nothing: the one that is reported is the one that has the version."""
    assert commit(change(bare, value="v4", base=base)) == Done(git(bare, "rev-parse", "main"), "main", new=False)
    assert git(bare, "branch", "--list") == "* main"


def test_a_push_at_the_same_moment_is_tried_again(bare, commit, monkeypatch):
    """The server has the branch locked for another push."""
    real, pushes = module.Git.__call__, []

    def locked(self, *arguments):
        if arguments[0] == "push" and not pushes.append(1) and len(pushes) == 1:
            raise StepFailed("git push: ! [remote rejected] HEAD -> main (cannot lock ref 'refs/heads/main')")
        return real(self, *arguments)

    monkeypatch.setattr(module.Git, "__call__", locked)
    assert commit(change(bare, base="main", branch="main")).new
    assert (len(pushes), shown(bare, "main")) == (2, FILE.replace("v4", "v5"))


def test_straight_to_a_branch_that_others_push_to_at_the_same_time(bare, commit, monkeypatch, tmp_path):
    """Refused as too old, it fetches anew and commits on top: both changes are there."""
    real, others = module._edit, []

    def edit(wanted, tree):
        if not others:
            others.append(True)
            theirs = tmp_path / "theirs"
            git(tmp_path, "clone", "--quiet", str(bare), str(theirs))
            (theirs / "README").write_text("theirs")
            git(theirs, "add", "--all")
            git(theirs, "commit", "--quiet", "--message=theirs")
            git(theirs, "push", "--quiet")
        return real(wanted, tree)

    monkeypatch.setattr(module, "_edit", edit)
    assert commit(change(bare, base="main", branch="main")).new
    assert git(bare, "log", "--format=%s", "main").splitlines() == ["Set salary to v5", "theirs", "what the team has"]
    assert shown(bare, "main") == FILE.replace("v4", "v5")


def test_a_branch_begins_where_it_is_told(bare, commit):
    """Not with the repository's own branch."""
    git(bare, "branch", "production", "main")
    git(bare.parent / "work", "commit", "--quiet", "--allow-empty", "--message=later")
    git(bare.parent / "work", "push", "--quiet", str(bare), "main")
    commit(change(bare, base="production"))
    assert git(bare, "log", "--format=%s", "modelmend/r-1").splitlines() == ["Set salary to v5", "what the team has"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"path": "../../etc/passwd"}, "path: the repository has no file '../../etc/passwd'"),
        ({"path": "/etc/hostname"}, "path: the repository has no file"),
        ({"path": ".git/config"}, "path: the repository has no file '.git/config'"),
        ({"path": "link"}, "path: the repository has no file 'link'"),
        ({"path": "missing.yaml"}, "path: the repository has no file 'missing.yaml'"),
        ({"branch": "--upload-pack=x"}, "git check-ref-format"),
        ({"branch": "a:b"}, "git check-ref-format"),
        ({"repository": "ext::sh -c touch%20/tmp/owned"}, "transport 'ext' not allowed"),
        ({"repository": "--upload-pack=touch /tmp/owned"}, "git ls-remote"),
        ({"base": "nowhere"}, "git fetch"),
    ],
)
def test_what_leads_elsewhere_is_refused(tmp_path, commit, other, said):
    """Paths out of the work tree, names that are options, transports that run programs."""
    folder = tmp_path / "team"
    bare = repository(folder, {"kustomization.yaml": FILE})
    (folder / "work" / "link").symlink_to("/etc/hostname")
    git(folder / "work", "add", "--all")
    git(folder / "work", "commit", "--quiet", "--message=a link")
    git(folder / "work", "push", "--quiet", str(bare), "main")
    with pytest.raises(StepFailed, match=said):
        commit(change(bare, **other))
    assert git(bare, "branch", "--list").split() == ["*", "main"]


def test_git_that_hangs_is_ended(bare, commit, monkeypatch):
    """A server that never answers fails the step in time."""
    monkeypatch.setattr(module, "TIMEOUT", 0.001)
    with pytest.raises(StepFailed, match="does not end within"):
        commit(change(bare))


def secret(folder, url):
    """The Secret git-credentials, mounted."""
    folder.mkdir(exist_ok=True)
    for key, value in {"url": url, "username": "modelmend", "password": "s3cret"}.items():
        (folder / key).write_text(f"{value}\n")
    return folder


@pytest.mark.parametrize(
    ("url", "repository", "sent"),
    [
        ("https://git.example.com/team", "https://git.example.com/team/salary.git", True),
        ("https://git.example.com/team/", "https://git.example.com/team", True),
        ("https://git.example.com", "https://GIT.example.com:443/any/salary", True),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080/salary.git", True),
        ("https://dev.example.com/My%20Team", "https://dev.example.com/My%20Team/_git/salary", True),
        ("https://git.example.com/team", "http://git.example.com/team/salary.git", False),
        ("http://git.example.com/team", "https://git.example.com/team/salary.git", False),
        ("https://git.example.com/team", "https://git.example.com/teamwork/salary.git", False),
        ("https://git.example.com/team", "https://git.example.com/team/../theirs", False),
        ("https://git.example.com/team", "https://git.example.com/team/%2e%2e/theirs", False),
        ("https://git.example.com/team", "https://git.example.com:8443/team/salary.git", False),
        ("https://git.example.com/team", "https://git.example.com.evil.com/team/salary.git", False),
        ("https://git.example.com", "https://git.example.com@evil.com/team", False),
        ("https://git.example.com", "https://evil.com\\@git.example.com/team", False),
        ("https://git.example.com", "https://evil.com#@git.example.com/team", False),
        ("https://git.example.com", "/volume/salary.git", False),
    ],
)
def test_a_password_is_sent_only_to_what_it_is_for(tmp_path, url, repository, sent):
    """The parameters say which repository it is, the Secret where a password belongs."""
    expected = "Authorization: Basic bW9kZWxtZW5kOnMzY3JldA==" if sent else ""
    assert authorization(secret(tmp_path, url), repository) == expected


def test_a_password_without_an_address_is_refused(tmp_path):
    """It would belong everywhere; without the Secret there is nothing to send."""
    assert authorization(tmp_path, "https://git.example.com/team") == ""
    for url in ("", "git.example.com", "https://modelmend@git.example.com"):
        with pytest.raises(StepFailed, match="git-credentials: want in `url` what they are for"):
            authorization(secret(tmp_path / "secret", url), "https://git.example.com/team")


def test_a_server_that_points_elsewhere_gets_no_password_there(tmp_path, commit, monkeypatch):
    """A redirection is not followed with it; elsewhere the repository asks for a password and gets none."""
    with HttpDouble(Reply(404)) as theirs:
        away = Reply(302, b"", {"Location": f"{theirs.url}/salary.git/info/refs?service=git-upload-pack"})
        with HttpDouble(away) as ours:
            monkeypatch.setattr(module, "CREDENTIALS", secret(tmp_path / "secret", ours.url))
            with pytest.raises(StepFailed, match="git ls-remote"):
                commit(change(f"{ours.url}/salary.git"))
            assert ours.arrived[0].headers["authorization"].startswith("Basic ")
            assert theirs.arrived == []
        with pytest.raises(StepFailed, match="git ls-remote"):
            commit(change(f"{theirs.url}/salary.git"))
        assert "authorization" not in theirs.wait_for(1)[0].headers


def test_parameters_become_a_change(monkeypatch):
    """The remediation names branch and message; `push-to` takes the place of both branches."""
    given = [
        "--repository=r",
        "--path=p",
        "--key=k",
        "--version=v5",
        "--value=reg/salary:{version}",
        "--workflow=w-0-1",
    ]
    monkeypatch.setattr(sys, "argv", ["x", *given, "--remediation=r-1", "--name=salary", "--namespace=ml"])
    found = parse()
    assert (found.value, found.branch, found.base) == ("reg/salary:v5", "modelmend/r-1", "")
    assert found.message == "Set ml/salary to v5\n\nRemediation: r-1\nWorkflow: w-0-1"
    monkeypatch.setattr(sys, "argv", ["x", *given, "--push-to=main"])
    assert (parse().branch, parse().base) == ("main", "main")
    monkeypatch.setattr(sys, "argv", ["x", *given, "--version="])
    with pytest.raises(StepFailed, match="want a version"):
        parse()


# ── the server of a model ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry with one version, of two weeks."""
    registry = Registry(tmp_path_factory.mktemp("registry"), "bikes")
    trees = fit(load().between(date(2012, 6, 1), date(2012, 6, 14)))
    file = tmp_path_factory.mktemp("made") / "model.joblib"
    joblib.dump(trees, file)
    registry.keep(registry.version("w-1"), {"model.joblib": file.read_bytes()})
    return registry


@pytest.fixture
def served(registry, request):
    """The address of a server of the version that the test is given."""
    version = getattr(request, "param", "w-1")
    server = serve.Serving(("127.0.0.1", 0), version, serve.load(registry, version))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_says_and_predicts_with_its_version(served):
    """One number for each hour; what is not known is null."""
    assert requests.get(f"{served}/healthz", timeout=10).json() == {"version": "w-1"}
    hours = [[12, 2, 1, 0, 1, 28.0, 31.0, 50.0, 10.0], [3, None, 1, 0, None, 18.0, 19.0, 80.0, 5.0]]
    answer = requests.post(f"{served}/predict", json={"hours": hours}, timeout=10).json()
    noon, night = answer["bikes"]
    assert answer["version"] == "w-1"
    assert noon > 100 > night >= 0


@pytest.mark.parametrize("served", [""], indirect=True)
def test_without_a_version_it_is_not_ready(served):
    """It runs and says why: the first Workflow will bring one."""
    for answer in (requests.get(f"{served}/healthz", timeout=10), requests.post(f"{served}/predict", timeout=10)):
        assert (answer.status_code, answer.json()) == (503, {"error": "no version yet"})


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"{}", b'{"hours": [[1, 2]]}', b'{"hours": 7}', b'{"hours": [["a"]]}']
)
def test_what_is_no_question_is_refused(served, body):
    """It goes on serving."""
    answer = requests.post(f"{served}/predict", data=body, timeout=10)
    assert (answer.status_code, "want hours, each with hour, weekday" in answer.json()["error"]) == (400, True)
    assert requests.get(f"{served}/elsewhere", timeout=10).status_code == 404


def test_a_version_that_the_registry_lacks_ends_it(registry):
    """So that a canary of it fails."""
    with pytest.raises(StepFailed, match="the registry has no w-9 of bikes"):
        serve.load(registry, "w-9")
