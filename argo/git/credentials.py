"""A name and a password, for the repositories that they are meant for and for no others.

The parameters of a Workflow say which repository it is: without `url`, whoever may start one could
have the password sent to a server of their own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path

from argo.steps.step import StepFailed

_ADDRESS = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::([0-9]+))?((?:/[A-Za-z0-9._~+%-]+)*)/?")
"""Scheme, host, port and path; no user, no query, nothing that two programs could read differently."""
_PORTS = {"https": "443", "http": "80"}


def authorization(folder: Path, repository: str) -> str:
    """The header for `username` and `password` in `folder`, where `repository` lies under the `url` there.

    Empty elsewhere, and where there are none. Raises StepFailed for a Secret without a good `url`.
    """
    try:
        pair = (folder / "username").read_text().strip(), (folder / "password").read_text().strip()
    except OSError:
        return ""
    try:
        url = (folder / "url").read_text().strip()
    except OSError:
        url = ""
    if not (prefix := _parts(url)):
        raise StepFailed(f"git-credentials: want in `url` what they are for, https://git.example.com/team, got {url!r}")
    if _parts(repository)[: len(prefix)] != prefix:
        return ""
    return "Authorization: Basic " + b64encode(":".join(pair).encode()).decode()


def _parts(address: str) -> list[str]:
    """Scheme, host, port and each folder of the path; empty for what is no such address, or leads upwards."""
    match = _ADDRESS.fullmatch(address)
    if not match:
        return []
    scheme, host, port, path = match.groups()
    folders = path.split("/")[1:]
    if any(folder in (".", "..") or re.search("%(?!20)", folder) for folder in folders):
        return []
    return [scheme, host.lower(), port or _PORTS[scheme], *folders]
