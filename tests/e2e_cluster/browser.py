"""A person at a browser without scripts: keeps cookies, follows redirects, fills in forms and presses their buttons."""

from __future__ import annotations

from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener


class Browser:
    """Shows one page at a time: `status`, `url`, `text`."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self.status, self.url, self.text = 0, origin, ""

    def open(self, path: str) -> None:
        """Follow a link of the page, or one typed in."""
        self._show(Request(urljoin(self.url, path)))

    def press(self, button: str, **filled: str) -> None:
        """Press the button that says so, in its form as it stands, with these fields filled in."""
        action, fields = self._form(button)
        headers = {"Origin": self._origin, "Sec-Fetch-Site": "same-origin", "Referer": self.url}
        self._show(Request(urljoin(self.url, action), urlencode(fields | filled).encode(), headers))

    def _form(self, button: str) -> tuple[str, dict[str, str]]:
        page = _Forms()
        page.feed(self.text)
        found = [(action, fields) for says, action, fields in page.buttons if says == button]
        assert len(found) == 1, f"{self.url} has the buttons {[says for says, _, _ in page.buttons]}, wanted {button}"
        return found[0]

    def _show(self, request: Request) -> None:
        try:
            answer = self._opener.open(request, timeout=30)
        except HTTPError as refused:
            answer = refused
        with answer:
            self.status, self.url, self.text = answer.status, answer.url, answer.read().decode()
        assert urlsplit(self.url).netloc == urlsplit(self._origin).netloc, f"led away to {self.url}"


class _Forms(HTMLParser):
    """The buttons of a page: what each says, where it leads, and the fields of its form."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons: list[tuple[str, str, dict[str, str]]] = []
        self._action, self._fields = "", dict[str, str]()
        self._pressed: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            assert given.get("method", "get").lower() == "post", given
            self._action, self._fields = given.get("action", ""), {}
        elif tag in ("input", "textarea") and "name" in given:
            self._fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self._pressed = given.get("formaction", self._action)

    def handle_data(self, data: str) -> None:
        if self._pressed is not None:
            self.buttons.append((data.strip(), self._pressed, self._fields))
            self._pressed = None
