from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.web.pages.attempts import FAILURES, WITHIN, Attempts
from controller.web.pages.session import LASTS, Sessions
from tests.unit.cases import NOON

OURS, THEIRS = Sessions(b"a key"), Sessions(b"another")


def test_a_session_comes_back_as_it_was_given_until_its_end():
    """Within its time the cookie says whose it is; at its end it says nothing."""
    session = OURS.open("token:x", NOON)
    cookie = OURS.cookie(session)
    assert OURS.read(cookie, NOON + LASTS - timedelta(seconds=1)) == session
    assert OURS.read(cookie, NOON + LASTS) is None
    assert THEIRS.read(cookie, NOON) is None


@given(st.text(max_size=80))
def test_no_text_is_a_session(text: str):
    """Whatever a client sends as a cookie: no session, and no error."""
    assert OURS.read(text, NOON) is None


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_cookie_is_none(at: int, by: int):
    """A cookie with any one character changed is refused, unless it means the same bytes."""
    cookie = OURS.cookie(OURS.open("token:x", NOON))
    at %= len(cookie)
    changed = cookie[:at] + chr((ord(cookie[at]) + by) % 256) + cookie[at + 1 :]
    found = OURS.read(changed, NOON)
    assert found is None or found.subject == "token:x"


def test_a_forms_token_is_of_one_session():
    """Another session of the same person, another person, another key: another token."""
    session = OURS.open("proxy:ada", NOON)
    token = OURS.form_token(session)
    assert OURS.fits(session, token)
    for other in (OURS.open("proxy:ada", NOON), OURS.open("proxy:eve", NOON)):
        assert not OURS.fits(other, token)
    assert not THEIRS.fits(session, token)
    assert not OURS.fits(session, "")
    assert not OURS.fits(session, "\udcff")


def test_a_tokens_digest_is_not_in_the_cookie():
    """The browser learns nothing that the tokens file holds."""
    assert "9f86d081" not in OURS.of_token("9f86d081" * 8)
    assert OURS.of_token("a") != OURS.of_token("b")


@pytest.mark.parametrize("signed", [b"[]", b"null", b"{}", b'["a"]'])
def test_a_cookie_of_another_shape_is_not_ours(signed: bytes):
    """What was not written by us is not read, whatever it is."""
    body = urlsafe_b64encode(signed).decode().rstrip("=")
    assert OURS.read(f"{body}.AAAA", NOON) is None


def test_attempts_are_counted_by_address_and_forgotten():
    """After ten failures in a minute an address waits until the first of them is a minute old."""
    attempts = Attempts()
    for second in range(FAILURES):
        assert attempts.wait("a", second) == 0
        attempts.failed("a", second)
    assert attempts.wait("a", FAILURES) == WITHIN - FAILURES
    assert attempts.wait("b", FAILURES) == 0
    assert attempts.wait("a", WITHIN) == 0
    for number in range(5000):
        attempts.failed(f"flood-{number}", 20.0)
    assert attempts.wait("a", 20.0) == 0
