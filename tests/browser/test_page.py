"""The page in a real Chromium, which keeps its own rules about cookies, origins and what a page may do."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.tokens import create_token
from tests.browser.chromium import Chromium
from tests.e2e.conftest import Serve
from tests.e2e.serving import Served
from tests.e2e.test_answers import ASKS, asked

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """As the tests of real processes have it."""
    made: list[Served] = []

    def make(policies: str, **settings: Any) -> Served:
        (tmp_path / "installation").mkdir()
        made.append(Served(tmp_path / "installation", policies, **settings))
        return made[-1]

    yield make
    for served in made:
        served.close()


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    browser = Chromium(tmp_path / "profile")
    yield browser
    browser.close()


@pytest.fixture
def served(serve: Serve, tmp_path: Path) -> tuple[Served, str, str]:
    """A server, a person's token, and the id of what they are asked about."""
    secret = create_token(tmp_path / "tokens", "ada", ["operate"])
    served = serve(ASKS, tokens=str(tmp_path / "tokens"))
    served.start()
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {secret}"}) as program:
        return served, secret, asked(served, program, "d1", "model-0")


def sign_in(chromium: Chromium, served: Served, secret: str, id_: str) -> None:
    chromium.open(f"{served.url}/remediations/{id_}")
    chromium.see("Token")
    chromium.js(f"document.querySelector('#token').value = {secret!r}; document.querySelector('main button').click()")
    chromium.see("What would be done")


def test_sign_in_and_approve(chromium: Chromium, served: tuple[Served, str, str]) -> None:
    """A link leads over sign-in to the page; the button approves; who did it stands in the history."""
    server, secret, id_ = served
    sign_in(chromium, server, secret, id_)
    chromium.js("document.querySelector('#comment').value = 'go'; document.querySelector('button.approve').click()")
    chromium.see("was approved by ada on the page (“go”)")
    assert chromium.js("document.cookie") == ""
    assert chromium.js("getComputedStyle(document.querySelector('header')).display") == "flex"


def test_what_another_site_can_do(chromium: Chromium, served: tuple[Served, str, str]) -> None:
    """A link from elsewhere finds who is signed in; a form and a frame from elsewhere come to nothing."""
    server, secret, id_ = served
    sign_in(chromium, server, secret, id_)
    page = f"{server.url}/remediations/{id_}"
    bodies = {
        "/link": f"<a id=a href='{page}'>look</a>",
        "/form": f"<form id=f method=post action='{page}/approve'><input name=form value=x><input name=asking value=2></form>",
        "/frame": f"<p>around</p><iframe src='{page}'></iframe>",
    }

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    other = f"http://localhost:{site.server_port}"
    try:
        chromium.open(f"{other}/link")
        chromium.see("look")
        chromium.js("document.querySelector('#a').click()")
        chromium.see("What would be done")
        chromium.open(f"{other}/form")
        chromium.until("document.querySelector('#f') !== null")
        chromium.js("document.querySelector('#f').submit()")
        chromium.until("location.pathname === '/sign-in'")  # the cookie stays at home: nobody is signed in
        chromium.open(f"{other}/frame")
        chromium.see("around")
        chromium.until("document.querySelector('iframe').contentDocument === null")  # a page of its own: of an error
    finally:
        site.shutdown()
        site.server_close()
    assert server.rows("SELECT phase FROM remediations WHERE id = :id", id=id_) == [("AwaitingApproval",)]
    assert server.rows("SELECT count(*) FROM acts") == [(0,)]
