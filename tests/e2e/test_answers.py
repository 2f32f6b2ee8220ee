"""People answer a real server over HTTP: two at once, across a crash, by page and by command."""

import html
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from controller.tokens import create_token
from tests.e2e.conftest import Serve
from tests.e2e.serving import Served, drift, policy, until

STEP = '{name: hook, request: {url: "http://127.0.0.1:9/", timeout: 1h}, verify: none}'
MODELS = "".join(f"kind: Model\nmetadata: {{name: model-{number}}}\n---\n" for number in range(3))
ASKS = MODELS + policy(STEP).replace("mode: enforce", "mode: approve")


class Person:
    """Somebody with a browser."""

    def __init__(self, served: Served, secret: str) -> None:
        self.served, self.secret = served, secret
        self.http = httpx.Client(trust_env=False, timeout=60)

    def sign_in(self) -> None:
        page = self.http.get(f"{self.served.url}/sign-in")
        answer = self.http.post(f"{self.served.url}/sign-in", data={**fields(page), "token": self.secret})
        assert answer.status_code == 303

    def look(self, id_: str) -> httpx.Response:
        page = self.http.get(f"{self.served.url}/remediations/{id_}")
        assert page.status_code == 200
        return page

    def answer(self, page: httpx.Response, act: str, comment: str = "said") -> httpx.Response:
        """Press a button of a page that was opened before, wherever the server is by now."""
        url = f"{self.served.url}{page.url.path}/{act}"
        return self.http.post(url, data={**fields(page), "comment": comment}, headers={"Origin": self.served.url})


def fields(page: httpx.Response) -> dict[str, str]:
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    return {name: html.unescape(value) for name, value in found}


@pytest.fixture
def house(serve: Serve, database: str | None, tmp_path: Path) -> Iterator[tuple[Served, list[Person], httpx.Client]]:
    """A server with tokens, two people of the role operate, and a program that sends and asks."""
    file = tmp_path / "tokens"
    ada, bob, robot = (create_token(file, name, ["operate"]) for name in ("ada", "bob", "robot"))
    served = serve(ASKS, database=database, tokens=str(file))
    served.start()
    program = httpx.Client(trust_env=False, timeout=60, headers={"Authorization": f"Bearer {robot}"})
    people = [Person(served, ada), Person(served, bob)]
    yield served, people, program
    for http in (program, *(person.http for person in people)):
        http.close()


def asked(served: Served, program: httpx.Client, id_: str, model: str = "salary-predictor") -> str:
    """Send what a person is asked about; the remediation's id."""
    assert (
        program.post(
            f"{served.url}/events", json=drift(id_, model), headers={"Content-Type": "application/cloudevents+json"}
        ).status_code
        == 202
    )

    def waiting() -> list[dict]:
        query = {"phase": "AwaitingApproval", "model": model}
        return list(program.get(f"{served.url}/api/v1/remediations", params=query).json()["items"])

    return str(until(waiting, "the asking")[0]["id"])


@pytest.mark.parametrize("acts", [("approve", "approve"), ("approve", "reject")])
def test_two_people_at_once(house: tuple[Served, list[Person], httpx.Client], acts: tuple[str, str]):
    """Both press in the same moment: one answer counts, the other is told who gave it; one transition stands."""
    served, people, program = house
    for person in people:
        person.sign_in()
    for round_ in range(3):
        id_ = asked(served, program, f"d{round_}", f"model-{round_}")
        pages = [person.look(id_) for person in people]
        gate = Barrier(2)

        def press(number: int, pages=pages, gate=gate) -> httpx.Response:
            gate.wait()
            return people[number].answer(pages[number], acts[number])

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(press, range(2)))
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        (late,) = (answer for answer in answers if answer.status_code == 409)
        first = next(name for name, answer in zip(("ada", "bob"), answers, strict=True) if answer.status_code == 303)
        assert re.search(rf"it was (approved|rejected) by {first} at ", late.text)
        rows = served.rows(
            "SELECT reason FROM transitions WHERE remediation_id = :id AND reason IN ('approved', 'rejected')", id=id_
        )
        assert len(rows) == 1


def test_a_crash_between_question_and_answer(house: tuple[Served, list[Person], httpx.Client]):
    """Killed while it is asked: the next process still asks, knows the session and the open page, and is told once."""
    served, (ada, _), program = house
    ada.sign_in()
    id_ = asked(served, program, "d1")
    page = ada.look(id_)
    served.kill()
    served.start()
    assert ada.answer(page, "approve").status_code == 303
    again = ada.answer(page, "approve")
    assert (again.status_code, "it was approved by ada at " in again.text) == (409, True)
    told = served.rows("SELECT count(*) FROM outbox WHERE receiver = 'default' AND remediation_id = :id", id=id_)
    assert told == [(1,)]


def test_a_link_is_opened_by_a_scanner(house: tuple[Served, list[Person], httpx.Client]):
    """Whoever opens every link, signed in or not, decides nothing."""
    served, (ada, _), program = house
    ada.sign_in()
    id_ = asked(served, program, "d1")
    before = served.rows("SELECT version, phase FROM remediations WHERE id = :id", id=id_)
    stranger = Person(served, "").http
    for http in (ada.http, stranger):
        for path in (
            f"/remediations/{id_}",
            f"/remediations/{id_}/approve",
            f"/remediations/{id_}/reject",
            "/sign-out",
        ):
            for method in ("GET", "HEAD"):
                assert http.request(method, served.url + path).status_code in (200, 303, 405)
    assert served.rows("SELECT version, phase FROM remediations WHERE id = :id", id=id_) == before
    assert served.rows("SELECT count(*) FROM acts") == [(0,)]
    assert ada.http.get(f"{served.url}/").status_code == 200
    stranger.close()
