"""The step `set-version`: a commit that sets a version in a file of a git repository.

What runs twice, commits once: a branch on which the file has the version already is left as it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from argo.git.credentials import authorization
from argo.git.place import set_value
from argo.steps.step import Parameters, StepFailed, report, run

CREDENTIALS = Path("/credentials")
"""`url`, `username` and `password`, from the Secret `git-credentials`, where there is one."""
TIMEOUT = 60.0
"""Seconds for each command."""
CONFIGURATION = """\
[user]
name = modelmend
email = modelmend@localhost
[safe]
directory = *
[advice]
pushUpdateRejected = false
"""
TRIES = 3
"""Somebody else may push between our fetch and our push."""
OVERTAKEN = ("[rejected]", "cannot lock ref")
"""What git says of that: of a push before ours, and of one at the same moment."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be committed, and where."""

    repository: str
    base: str
    branch: str
    path: str
    key: str
    value: str
    kind: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Done:
    """The commit and the branch that have the version; `new` where the commit was made now."""

    commit: str
    branch: str
    new: bool


class Git:
    """Git with a work tree in `work`. It asks nobody, and reads no configuration but ours."""

    def __init__(self, work: Path, repository: str) -> None:
        self.tree = work / "tree"
        self.tree.mkdir()
        (work / "config").write_text(CONFIGURATION)  # a file, since a repository on a volume is read by a child
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(work),
            "GIT_CONFIG_GLOBAL": str(work / "config"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "https:http:git:file",
        }
        if header := authorization(CREDENTIALS, repository):
            self._environment |= {
                "GIT_CONFIG_COUNT": "2",
                "GIT_CONFIG_KEY_0": f"http.{repository}.extraHeader",  # for this address only
                "GIT_CONFIG_VALUE_0": header,
                "GIT_CONFIG_KEY_1": "http.followRedirects",  # the header would go where it is told to
                "GIT_CONFIG_VALUE_1": "false",
            }

    def __call__(self, *arguments: str) -> str:
        """What git prints. Raises StepFailed with its last line."""
        command = ["git", "-C", str(self.tree), *arguments]
        try:
            done = subprocess.run(
                command, env=self._environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise StepFailed(f"git {arguments[0]} does not end within {TIMEOUT:g} s") from None
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise StepFailed(f"git {arguments[0]}: {' / '.join(said[-2:])}")
        return done.stdout.strip()


def set_version(change: Change, work: Path) -> Done:
    """Have the version on the branch. Raises StepFailed."""
    git = Git(work, change.repository)
    git("init", "--quiet")
    git("check-ref-format", "--branch", change.branch)
    for left in reversed(range(TRIES)):
        branch = _fetch(git, change)
        if not _edit(change, git.tree):
            return Done(git("rev-parse", "HEAD"), branch, new=False)
        git("commit", "--quiet", "--all", f"--message={change.message}")
        try:
            git("push", "--quiet", "--", change.repository, f"HEAD:refs/heads/{change.branch}")
        except StepFailed as error:
            if not left or not any(sign in str(error) for sign in OVERTAKEN):
                raise
        else:
            return Done(git("rev-parse", "HEAD"), change.branch, new=True)
    raise AssertionError("the last try returns or raises")


def _fetch(git: Git, change: Change) -> str:
    """Have the branch where it is there already, else what it begins with; which of them."""
    theirs = git("ls-remote", "--", change.repository, f"refs/heads/{change.branch}")
    branch = change.branch if theirs else change.base or _own(git, change)
    git("fetch", "--quiet", "--depth=1", "--", change.repository, f"refs/heads/{branch}")
    git("reset", "--quiet", "--hard", "FETCH_HEAD")
    return branch


def _own(git: Git, change: Change) -> str:
    """The branch that the repository itself begins with."""
    said = git("ls-remote", "--symref", "--", change.repository, "HEAD")
    found = re.match(r"ref: refs/heads/(\S+)\tHEAD", said)
    if not found:
        raise StepFailed("base: want a branch, the repository has none of its own")
    return found[1]


def _edit(change: Change, tree: Path) -> bool:
    """Set the value; False where it was set already."""
    root = tree.resolve()
    file = (root / change.path).resolve()
    if not file.is_relative_to(root) or file.is_relative_to(root / ".git") or not file.is_file():
        raise StepFailed(f"path: the repository has no file {change.path!r}")
    with file.open(newline="") as stream:  # as it is: a carriage return is none of ours
        before = stream.read()
    after = set_value(before, change.key, change.value, change.kind, change.name)
    with file.open("w", newline="") as stream:
        stream.write(after)
    return after != before


def parse() -> Change:
    """The change that the template's parameters give."""
    parser = Parameters()
    for name in ("repository", "path", "key", "version"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("base", "branch", "push-to", "kind", "name", "namespace", "remediation"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--value", required=True)
    parser.add_argument("--workflow", required=True)
    given = parser.parse_args()
    if not given.version or "{version}" not in given.value:
        raise StepFailed(f"want a version, and a value with {{version}}, got {given.version!r} and {given.value!r}")
    remediation = given.remediation or given.workflow
    where = "/".join(part for part in (given.namespace, given.name) if part) or given.path
    return Change(
        repository=given.repository,
        base=given.push_to or given.base,
        branch=given.push_to or given.branch or f"modelmend/{remediation}",
        path=given.path,
        key=given.key,
        value=given.value.replace("{version}", given.version),
        kind=given.kind,
        name=given.name,
        message=f"Set {where} to {given.version}\n\nRemediation: {remediation}\nWorkflow: {given.workflow}",
    )


def main() -> str:
    """Commit what the arguments say."""
    change = parse()
    with tempfile.TemporaryDirectory() as work:
        done = set_version(change, Path(work))
    report(commit=done.commit, branch=done.branch)
    has = "has now" if done.new else "had already"
    return f"{change.path} on {done.branch} {has} {change.value}: {done.commit[:12]}"


if __name__ == "__main__":
    sys.exit(run(main))
