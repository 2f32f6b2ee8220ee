from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def address(tmp_path):
    """The server that the README starts, on a port of its own and with its store in a temporary folder."""
    line = re.search(r"\$ \.venv/bin/modelmend (serve .*)", README)
    assert line
    command = [sys.executable, "-m", "controller.cli", *shlex.split(line[1])]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--data", str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    found = None
    for said in process.stderr:
        found = found or re.search(r"listens on (http://\S+?),", said)
        if found:
            break
    assert found, "the server did not start"
    yield found[1]
    process.terminate()
    process.communicate(timeout=30)


def test_the_readme_s_event_and_explain_say_what_the_readme_says(address):
    """Curl's answer and the output of explain are those that the README shows."""
    posted = re.search(r"-d '(\{.*?\})'\nHTTP/1.1 202 Accepted\n\n(.*?)\n", README, re.DOTALL)
    assert posted
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = requests.post(f"{address}/events", data=posted[1], headers=headers, timeout=10)
    assert (answer.status_code, answer.json()) == (202, json.loads(posted[2]))

    shown = re.search(
        r"<!-- explain -->\n```console\n\$ \.venv/bin/modelmend (.*?)\n(.*)```\n<!-- /explain -->", README, re.DOTALL
    )
    assert shown
    command = [sys.executable, "-m", "controller.cli", *shlex.split(shown[1])]
    for _ in range(100):
        said = subprocess.run(
            command, env={**os.environ, "MODELMEND_SERVER": address}, capture_output=True, text=True, check=True
        ).stdout
        if "not decided yet" not in said:
            break
    assert undated(said) == undated(shown[2])


def undated(text: str) -> str:
    """The text without what differs from run to run: today's time, and how old the event is by now."""
    text = re.sub(r"received [\d: -]+ UTC", "received NOW", text)
    return re.sub(r"UTC, \S+ before", "UTC, AGE before", text)
