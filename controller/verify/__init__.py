"""Verification: one look at a time at whether an action has helped, one file per way to look.

What samples come to is judged elsewhere (`controller.judge`), where their times are known.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from controller import process
from controller.kube import Kube
from controller.prometheus import Prometheus
from controller.verify import analysis, command, query, rollout
from controller.verify.sample import Sample

__all__ = ["Sample", "sample"]


def sample(
    verification: Mapping[str, Any],
    told: Mapping[str, Any],
    cancelled: threading.Event,
    *,
    kube: Kube | None = None,
    prometheus: Prometheus | None = None,
    grace: float = process.GRACE,
) -> Sample:
    """Take one sample; blocks. See `sample` of each way for what it is given.

    :param cancelled: once set, a command is ended, `grace` seconds after being asked at most.
    """
    if verification.get("kind") == "rollout":
        return rollout.sample(verification, told, kube)
    if verification.get("kind") == "analysis":
        return analysis.sample(verification, told, kube)
    if verification.get("kind") == "query":
        return query.sample(verification, told, cancelled, prometheus)
    return command.sample(verification, told, cancelled, grace=grace)
