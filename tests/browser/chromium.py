"""A real Chromium, told over its pipe (`--remote-debugging-pipe`): open a page, press what is on it, read it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 30.0


def program() -> str | None:
    """Where it is installed; None: nowhere."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """One browser with a profile of its own, and one tab."""

    def __init__(self, folder: Path) -> None:
        there, ours = os.pipe()
        back, theirs = os.pipe()
        command = [
            str(program()), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            f"--user-data-dir={folder}", "--no-first-run", "about:blank",
        ]  # fmt: skip

        def wire() -> None:
            os.dup2(there, 3)
            os.dup2(theirs, 4)

        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, preexec_fn=wire, close_fds=False, stdout=quiet, stderr=quiet)  # noqa: PLW1509 — it calls dup2 only
        os.close(there)
        os.close(theirs)
        self._ours, self._back = ours, os.fdopen(back, "rb", buffering=0)
        self._rest, self._last = b"", 0
        self._session: str | None = None
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._ours, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                self._rest += self._back.read(65536)
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.tell("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, url: str) -> None:
        self.tell("Page.navigate", url=url)

    def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        deadline = time.monotonic() + PATIENCE
        while self.js(condition) is not True:
            assert time.monotonic() < deadline, f"want {condition} on {self.js('location.href')}"
            time.sleep(0.05)

    def see(self, text: str) -> str:
        """Wait until the page's text holds this; its whole text."""
        deadline = time.monotonic() + PATIENCE
        while text not in (found := str(self.js("document.body ? document.body.innerText : ''"))):
            assert time.monotonic() < deadline, f"want {text!r} on {self.js('location.href')}: {found}"
            time.sleep(0.05)
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._ours)
        self._back.close()
