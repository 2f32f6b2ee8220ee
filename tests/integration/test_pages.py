"""The pages for people: who may look, who decides, and what forged, replayed and late forms come to."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug import Request
from werkzeug.test import Client, TestResponse

from controller.app import App
from controller.settings import ProxyAuth, Settings
from controller.store import listing
from controller.store.database import Database
from controller.store.signing_keys import signing_key
from controller.tokens import Tokens, create_token
from controller.web import PageSettings
from controller.web.pages.front import Front
from tests.integration.test_api import World, set_of

DOCUMENTS = """
kind: Model
metadata: {name: salary-predictor, namespace: ml}
---
kind: RemediationPolicy
metadata: {name: retrain, namespace: ml}
spec:
  mode: approve
  models: {names: ["*"]}
  triggers: [{name: drift, type: ml.data.drift.detected}]
  limits: {cooldown: 1s, budget: {max: 9, within: 7d}}
  steps: [{name: train, command: {argv: [python, train.py, {expr: data.feature}], timeout: 5m}, verify: none}]
"""
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202egnp.exe\U0001f600' + "W" * 900


class House:
    """A world in which something awaits an answer, and people's browsers."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.file = folder / "tokens"
        self.secrets = {role: create_token(self.file, f"{role}-ada", [role]) for role in ("operate", "read", "send")}
        world.engine.adopt(set_of(DOCUMENTS), ())
        world.settle()
        self.key = signing_key(world.db, "pages")
        self.tick = 0.0

    def app(self, *, tokens: bool = True, proxy: ProxyAuth | None = None, public_url: str | None = None, **more: Any):
        pages = PageSettings(public_url, proxy, self.key)
        return self.world.create_app(tokens=Tokens(self.file) if tokens else None, pages=pages, **more)

    def ask(self, feature: str = "salary") -> str:
        """Have something await an answer; its id."""
        self.world.send(f"d-{feature[:9]}-{len(self.rows())}", feature=feature, driftScore=0.4)
        return str(self.rows()[0]["id"])

    def rows(self) -> list[dict[str, Any]]:
        with self.world.db.read() as conn:
            return listing.remediations(conn)["items"]

    def phase(self) -> str:
        return str(self.rows()[0]["phase"])


class Browser:
    """Keeps cookies, and fills in the forms that it is shown."""

    def __init__(self, app: Any, base: str = "http://localhost", peer: str = "127.0.0.1", **headers: str) -> None:
        self.base, self.peer, self.headers = base, peer, headers
        self.client = Client(app, use_cookies="Cookie" not in headers)
        self.page: TestResponse | None = None

    def get(self, path: str, method: str = "GET", **headers: str) -> TestResponse:
        self.page = self._open(path, method=method, headers=self.headers | headers)
        return self.page

    def post(self, path: str, form: dict[str, str], **headers: str) -> TestResponse:
        return self._open(path, method="POST", data=form, headers=self.headers | headers)

    def _open(self, path: str, **options: Any) -> TestResponse:
        return self.client.open(path, base_url=self.base, environ_overrides={"REMOTE_ADDR": self.peer}, **options)

    def fields(self) -> dict[str, str]:
        """The hidden fields of the page's last form."""
        assert self.page is not None
        text = self.page.get_data(as_text=True)
        return {
            name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text)
        }

    def sign_in(self, secret: str, following: str = "/") -> TestResponse:
        self.get("/sign-in" + ("" if following == "/" else f"?next={following}"))
        return self.post("/sign-in", self.fields() | {"token": secret})

    def decide(self, id_: str, act: str, comment: str = "", **headers: str) -> TestResponse:
        """Open the page, and press a button."""
        assert self.get(f"/remediations/{id_}").status_code == 200
        return self.post(f"/remediations/{id_}/{act}", self.fields() | {"comment": comment}, **headers)


@contextmanager
def housed(url: str, clock: Any, folder: Path) -> Iterator[House]:
    world = World(Database(url, clock=clock), clock)
    try:
        yield House(world, folder)
    finally:
        world.close()


@pytest.fixture
def house(sqlite_url: str, clock: Any, tmp_path: Path) -> Iterator[House]:
    with housed(sqlite_url, clock, tmp_path) as made:
        yield made


@pytest.fixture
def any_house(database_url: str, clock: Any, tmp_path: Path) -> Iterator[House]:
    with housed(database_url, clock, tmp_path) as made:
        yield made


def test_looking_changes_nothing_and_a_post_decides(any_house: House):
    """GET and HEAD of every page leave the database as it is; the button approves, and leads back to the page."""
    house = any_house
    id_ = house.ask()
    browser = Browser(house.app())
    assert browser.sign_in(house.secrets["operate"]).status_code == 303
    for path in ("/", f"/remediations/{id_}", f"/remediations/{id_}/explain", f"/remediations/{id_}/approve"):
        for method in ("GET", "HEAD"):
            assert browser.get(path, method).status_code == (303 if path.endswith("approve") else 200)
    assert house.phase() == "AwaitingApproval"
    answer = browser.decide(id_, "approve", "go ahead")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/remediations/{id_}")
    assert house.phase() in ("Running", "Pending")
    text = unescape(browser.get(f"/remediations/{id_}").get_data(as_text=True))
    assert "was approved by operate-ada on the page (“go ahead”)" in text


def test_who_is_not_signed_in_is_led_to_the_door_and_back(house: House):
    """A link leads to sign-in, and sign-in leads back to what it was about; nowhere else."""
    id_ = house.ask()
    browser = Browser(house.app())
    answer = browser.get(f"/remediations/{id_}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sign-in?next=/remediations/{id_}")
    assert browser.sign_in(house.secrets["read"], f"/remediations/{id_}").headers["Location"] == f"/remediations/{id_}"
    for elsewhere in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/sign-out"):
        other = Browser(house.app())
        other.get("/sign-in")
        answer = other.post("/sign-in", other.fields() | {"token": house.secrets["read"], "next": elsewhere})
        assert answer.headers["Location"] == "/"


def test_who_may_only_read_sees_no_buttons_and_decides_nothing(house: House):
    """The role read looks; a form all the same is refused; the role send does not get in."""
    id_ = house.ask()
    browser = Browser(house.app())
    browser.sign_in(house.secrets["read"])
    page = browser.get(f"/remediations/{id_}").get_data(as_text=True)
    assert "Approve</button>" not in page
    assert "deciding needs the role operate" in page
    assert browser.post(f"/remediations/{id_}/approve", browser.fields()).status_code == 403
    assert Browser(house.app()).sign_in(house.secrets["send"]).status_code == 403
    assert house.phase() == "AwaitingApproval"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_form_of_another_site_is_refused(house: House, headers: dict[str, str]):
    """Even with the cookie and the right form token: where the browser says that it came from elsewhere."""
    id_ = house.ask()
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    answer = browser.decide(id_, "approve", **headers)
    assert answer.status_code == 403
    assert "another site" in answer.get_data(as_text=True)
    assert house.phase() == "AwaitingApproval"


@pytest.mark.parametrize("forged", ["", "x", "A" * 43, "é"])
def test_a_form_without_its_sessions_token_is_refused(house: House, forged: str):
    """What another site can send: the cookie's form, without the token that only our page knows."""
    id_ = house.ask()
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    assert browser.post(f"/remediations/{id_}/approve", {"form": forged, "asking": "2"}).status_code == 403
    other = Browser(house.app())
    other.sign_in(house.secrets["operate"])
    other.get(f"/remediations/{id_}")
    assert browser.post(f"/remediations/{id_}/approve", other.fields()).status_code == 403
    assert house.phase() == "AwaitingApproval"


def test_a_form_sent_twice_decides_once(house: House):
    """The replayed POST is told who decided and when; nothing is done a second time."""
    id_ = house.ask()
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    browser.get(f"/remediations/{id_}")
    form = browser.fields()
    assert browser.post(f"/remediations/{id_}/approve", form).status_code == 303
    again = browser.post(f"/remediations/{id_}/approve", form)
    assert again.status_code == 409
    assert "it was approved by operate-ada at " in again.get_data(as_text=True)
    assert browser.post(f"/remediations/{id_}/reject", form | {"comment": "no"}).status_code == 409


def test_a_no_needs_a_comment(house: House):
    """Reject without a word is asked for one; with it the remediation ends, and the word is kept."""
    id_ = house.ask()
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    answer = browser.decide(id_, "reject")
    assert answer.status_code == 400
    assert "a comment is needed" in answer.get_data(as_text=True)
    answer = browser.decide(id_, "approve", "<b>" + "a" * 2000)
    assert answer.status_code == 400
    assert ">\n&lt;b&gt;aaa" in answer.get_data(as_text=True)  # what was typed is not lost
    browser.get(f"/remediations/{id_}")
    answer = browser.post(f"/remediations/{id_}/approve", browser.fields() | {"asking": "x"})
    assert (answer.status_code, "this form is no longer good" in answer.get_data(as_text=True)) == (400, True)
    long = "not before the release" + "\r\n." * 900  # 1822 characters, as a browser counts them
    assert browser.decide(id_, "reject", long).status_code == 303
    assert house.phase() == "Cancelled"
    assert "not before the release" in browser.get(f"/remediations/{id_}").get_data(as_text=True)


def test_a_session_ends_after_a_day_of_work_and_with_its_token(house: House, clock: Any):
    """After twelve hours, when the token is taken out of the file, and on signing out: to the door again."""
    id_ = house.ask()
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    browser.get(f"/remediations/{id_}")
    form = browser.fields()
    clock.now += timedelta(hours=12)
    assert browser.post(f"/remediations/{id_}/approve", form).headers["Location"].startswith("/sign-in")
    browser.sign_in(house.secrets["operate"])
    assert browser.get("/").status_code == 200
    lines = [line for line in house.file.read_text().splitlines() if not line.startswith("operate-ada")]
    house.file.write_text("\n".join(lines) + "\n")
    browser.client.application = house.app()
    assert browser.get("/").headers["Location"] == "/sign-in"
    browser.sign_in(house.secrets["read"])
    browser.get("/")
    assert browser.post("/sign-out", browser.fields()).headers["Location"] == "/sign-in"
    assert browser.get("/").status_code == 303
    assert house.phase() == "AwaitingApproval"


def test_a_cookie_of_another_key_is_none(house: House):
    """A session that was signed with another key, or changed by a letter, is no session; a restart with ours keeps it."""
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    cookie = browser.client.get_cookie("modelmend")
    assert cookie is not None
    assert Browser(house.app(), Cookie=f"modelmend={cookie.value}").get("/").status_code == 200
    for broken in (cookie.value[:-2] + "AA", "x" + cookie.value, cookie.value.partition(".")[0], "", ".", "é"):
        assert Browser(house.app(), Cookie=f"modelmend={broken}").get("/").status_code == 303
    house.key = b"another key"
    assert Browser(house.app(), Cookie=f"modelmend={cookie.value}").get("/").status_code == 303


def test_guessing_tokens_is_bounded(house: House):
    """After ten failed attempts of an address in a minute a wrong token waits; a right one is let in all the same."""
    browser = Browser(house.app())
    browser.get("/sign-in")
    form = browser.fields()
    for _ in range(10):
        assert browser.post("/sign-in", form | {"token": "mm_guess"}).status_code == 403
    held = browser.post("/sign-in", form | {"token": "mm_guess"})
    assert held.status_code == 429
    assert 0 < int(held.headers["Retry-After"]) <= 61
    assert browser.post("/sign-in", form | {"token": house.secrets["operate"]}).status_code == 303


def test_a_second_door_ends_no_session(house: House):
    """Who is signed in and opens the sign-in page, or sends its form too late in another tab, stays signed in."""
    browser = Browser(house.app())
    assert browser.get("/sign-in").headers["Set-Cookie"].startswith("modelmend-door=")
    late = browser.fields()
    browser.sign_in(house.secrets["operate"])
    assert browser.client.get_cookie("modelmend-door") is None
    assert browser.get("/sign-in").status_code == 200
    assert browser.get("/").status_code == 200
    assert browser.post("/sign-in", late | {"token": house.secrets["read"]}).status_code == 403
    assert browser.get("/").status_code == 200


def test_headers_that_keep_a_page_to_itself(house: House):
    """Every page: no script, no frame, no other origin, not stored; its cookie out of reach of scripts and other sites."""
    id_ = house.ask()
    browser = Browser(house.app())
    signed_in = browser.sign_in(house.secrets["operate"])
    cookie = signed_in.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    for path in ("/", f"/remediations/{id_}", "/sign-in", "/remediations/r-aaaaaaaaaaaa"):
        headers = browser.get(path).headers
        assert headers["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert house.secrets["operate"] not in browser.page.get_data(as_text=True)
        assert "<script" not in browser.page.get_data(as_text=True)
        assert "style=" not in browser.page.get_data(as_text=True)


def test_hostile_text_is_shown_as_text(house: House):
    """Markup, a change of direction and endless names of senders are escaped, made visible, and break nothing."""
    id_ = house.ask(HOSTILE)
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    for path in ("/", f"/remediations/{id_}", f"/remediations/{id_}/explain"):
        text = browser.get(path).get_data(as_text=True)
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "\u202e" not in text
    page = browser.get(f"/remediations/{id_}").get_data(as_text=True)
    assert "&lt;script&gt;alert(1)" in page
    assert "\\u202egnp.exe\U0001f600" in page
    assert browser.decide(id_, "reject", HOSTILE).status_code == 303
    assert "<script>alert" not in browser.get(f"/remediations/{id_}").get_data(as_text=True)


def test_without_authentication_this_machine_decides_and_forgery_is_still_refused(house: House):
    """On loopback the page works as `anonymous`, with cookie and form token; another host's name is refused."""
    id_ = house.ask()
    browser = Browser(house.app(tokens=False))
    assert browser.post(f"/remediations/{id_}/approve", {}).status_code == 403
    assert browser.decide(id_, "approve", Origin="http://evil.example").status_code == 403
    assert Browser(house.app(tokens=False), base="http://evil.example").get("/").status_code == 403
    assert browser.get("/sign-in").status_code == 404
    assert browser.decide(id_, "approve", Origin="http://localhost").status_code == 303
    assert house.phase() != "AwaitingApproval"


PROXY = ProxyAuth(
    trusted=["10.0.0.0/8"], user_header="X-Forwarded-User", groups_header="X-Forwarded-Groups", operators=("oncall",)
)
SHE = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "staff, oncall"}


def test_the_proxy_says_who_decides(house: House):
    """From a trusted address the header names the person, and the group says what they may do."""
    id_ = house.ask()
    app = house.app(proxy=PROXY)
    reader = Browser(app, peer="10.1.2.3", **{"X-Forwarded-User": "bob", "X-Forwarded-Groups": "staff"})
    assert "Approve</button>" not in reader.get(f"/remediations/{id_}").get_data(as_text=True)
    assert reader.post(f"/remediations/{id_}/approve", reader.fields()).status_code == 403
    ada = Browser(app, peer="10.1.2.3", **SHE)
    assert ada.decide(id_, "approve", "fine").status_code == 303
    assert "was approved by ada on the page" in ada.get(f"/remediations/{id_}").get_data(as_text=True)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [*((name, "utf-8") for name in ("Zoë", "Émile", "Şule", "山田")), ("Zoë", "latin-1"), ("Émile", "latin-1")],
)
def test_people_are_called_what_they_are_called(house: House, name: str, encoding: str):
    """Names and groups beyond ASCII, in UTF-8 as proxies send them or in Latin-1, are read as what they are."""
    sent = {"X-Forwarded-User": name.encode(encoding).decode("latin-1")}
    sent["X-Forwarded-Groups"] = "équipe".encode(encoding).decode("latin-1")
    id_ = house.ask()
    app = house.app(proxy=PROXY.model_copy(update={"operators": ("équipe",)}))
    browser = Browser(app, peer="10.1.2.3", **sent)
    assert browser.decide(id_, "approve", "fine").status_code == 303
    assert f"was approved by {name} on the page" in browser.get(f"/remediations/{id_}").get_data(as_text=True)
    assert browser.client.get_cookie("modelmend") is not None
    browser.peer = "192.0.2.7"  # past the proxy, with the cookie that it brought
    assert browser.get("/").headers["Location"] == "/sign-in"


def test_a_header_does_not_change_the_peer(tmp_path: Path):
    """Through the real server: who writes the proxy's address into X-Forwarded-For is not taken for the proxy."""
    secret = create_token(tmp_path / "tokens", "ada", ["read"])
    proxy = {"trusted": ["192.0.2.1"], "user_header": "X-Forwarded-User", "operators": ["*"]}
    flags = {"listen": "127.0.0.1:0", "data": str(tmp_path), "tokens": str(tmp_path / "tokens")}
    app = App(Settings.load(None, flags | {"proxy_auth": ProxyAuth.model_validate(proxy)}, {}))
    app.start()
    try:
        told = {"X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1", "X-Forwarded-User": "eve"}
        with httpx.Client(base_url=app.address, headers=told, trust_env=False) as client:
            assert client.get("/").headers["Location"] == "/sign-in"
            assert client.get("/api/v1/status", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    finally:
        app.stop(0)


def test_proxies_in_a_chain(house: House):
    """What each proxy added is told apart: the browser's scheme and host come first, and addresses are not one."""
    told = {"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "ml.example, lb.internal"}
    browser = Browser(house.app(proxy=PROXY), peer="10.1.2.3", **SHE, **told)
    assert "Secure" in browser.get("/").headers["Set-Cookie"]
    front = Front(None, PROXY)

    def address(said: str, peer: str = "10.1.2.3") -> str:
        headers = {"X-Forwarded-For": said} if said else {}
        return front.address(Request.from_values(headers=headers, environ_overrides={"REMOTE_ADDR": peer}))

    assert address("203.0.113.9, 192.0.2.5, 10.9.9.9") == "192.0.2.5"
    assert address("10.7.7.7") == "10.7.7.7"
    assert address("") == "10.1.2.3"
    assert address("203.0.113.9", "192.0.2.7") == "192.0.2.7"


def test_a_host_that_was_rewritten_is_named(house: House):
    """A form of a page that we do not know for ours is refused with what it takes; `publicUrl` in any case will do."""
    id_ = house.ask()
    browser = Browser(house.app(tokens=False))
    answer = browser.decide(id_, "approve", Origin="https://mend.example")
    assert answer.status_code == 403
    text = unescape(answer.get_data(as_text=True))
    assert "another site: https://mend.example, and we are reached as localhost; if both are this server, set" in text
    browser = Browser(house.app(tokens=False, public_url="https://mend.example"))
    assert browser.decide(id_, "approve", Origin="https://Mend.example").status_code == 303


def test_headers_from_elsewhere_are_not_believed(house: House):
    """The same headers from an address that is not the proxy's: who sends them is nobody."""
    id_ = house.ask()
    app = house.app(proxy=PROXY)
    for peer in ("127.0.0.1", "192.0.2.7", "::1", "11.0.0.1"):
        assert Browser(app, peer=peer, **SHE).get(f"/remediations/{id_}").status_code == 303
    mapped = Browser(app, peer="::ffff:10.1.2.3", **SHE)
    assert mapped.get(f"/remediations/{id_}").status_code == 200
    assert Browser(house.app(tokens=False, proxy=PROXY), **SHE).get("/").status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-Forwarded-User": ""}, 401),
        ({"X-Forwarded-User": "eve,ada"}, 403),
        ({"X-Forwarded-User": "a" * 300}, 403),
    ],
)
def test_a_proxy_that_names_nobody_or_two_signs_nobody_in(house: House, headers: dict[str, str], status: int):
    """No name: not signed in; a header that stood twice: refused, one of the two was not the proxy's."""
    assert Browser(house.app(proxy=PROXY), peer="10.0.0.1", **headers).get("/").status_code == status


def test_a_session_is_of_one_person(house: House):
    """Another person behind the same proxy cannot use a form that was made for the first."""
    id_ = house.ask()
    app = house.app(proxy=PROXY)
    ada = Browser(app, peer="10.1.2.3", **SHE)
    ada.get(f"/remediations/{id_}")
    ada.headers = SHE | {"X-Forwarded-User": "eve"}
    assert ada.post(f"/remediations/{id_}/approve", ada.fields()).status_code == 403


def test_behind_a_path_and_tls(house: House):
    """Prefix, scheme and host of a trusted proxy go into links, cookie and the check of the origin; others' do not."""
    id_ = house.ask()
    app = house.app(proxy=PROXY)
    told = {"X-Forwarded-Prefix": "/mend", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "ml.example"}
    browser = Browser(app, base="http://modelmend.svc:8080", peer="10.1.2.3", **SHE, **told)
    page = browser.get(f"/remediations/{id_}")
    assert 'href="/mend/page.css"' in page.get_data(as_text=True)
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Secure-modelmend=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/mend/"} <= {part.strip() for part in cookie.split(";")}
    # the browser speaks to https://ml.example/mend/…, which the test's client does not know
    form, pair = browser.fields(), cookie.partition(";")[0]
    browser.client = Client(app, use_cookies=False)
    answer = browser.post(f"/remediations/{id_}/approve", form, Origin="https://ml.example", Cookie=pair)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/mend/remediations/{id_}")
    for bad in ("//evil.example", "/a b", "https://evil.example", "/<script>"):
        page = Browser(app, peer="10.1.2.3", **SHE | {"X-Forwarded-Prefix": bad}).get("/")
        assert 'href="/page.css"' in page.get_data(as_text=True)
    page = Browser(house.app(tokens=False), **told).get("/")
    assert 'href="/page.css"' in page.get_data(as_text=True)
    assert "Secure" not in page.headers["Set-Cookie"]


def test_the_public_url_makes_links_and_cookies(house: House):
    """Reached by the host of `publicUrl`, its scheme and path hold without a word of the proxy."""
    browser = Browser(house.app(public_url="https://mend.example/ml"), base="http://mend.example")
    answer = browser.get("/")
    assert answer.headers["Location"] == "/ml/sign-in"
    assert "Secure" in browser.get("/sign-in").headers["Set-Cookie"]


def test_a_link_in_a_chat_finds_who_is_signed_in(house: House):
    """A strict cookie is kept back on a link from another site: our own page asks again, and then it is there."""
    id_ = house.ask()
    browser = Browser(house.app())
    onward = browser.get(f"/remediations/{id_}", **{"Sec-Fetch-Site": "cross-site"})
    assert onward.status_code == 200
    assert f'content="0; url=/remediations/{id_}"' in onward.get_data(as_text=True)
    assert "Set-Cookie" not in onward.headers


def test_what_is_not_there_is_a_page_too(house: House):
    """Unknown ids, unknown acts and other methods are answered as pages, without a trace of the inside."""
    browser = Browser(house.app())
    browser.sign_in(house.secrets["operate"])
    answer = browser.get("/remediations/r-aaaaaaaaaaaa")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    id_ = house.ask()
    browser.get(f"/remediations/{id_}")
    assert browser.post(f"/remediations/{id_}/promote", browser.fields()).status_code == 404


def test_the_list_shows_what_waits_first(house: House):
    """The first page: what awaits an answer, and what is under way."""
    browser = Browser(house.app())
    browser.sign_in(house.secrets["read"])
    assert "Nothing waits for an answer." in browser.get("/").get_data(as_text=True)
    id_ = house.ask()
    assert f'href="/remediations/{id_}"' in browser.get("/").get_data(as_text=True)
