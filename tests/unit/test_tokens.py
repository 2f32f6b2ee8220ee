"""Tokens: roles, the file's lines, expiry, rotation, and reading the file again."""

import logging
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.tokens import LOOK_EVERY, Role, Tokens, create_token, digest_of, load_tokens, new_token, parse_tokens

NOW = datetime(2025, 1, 23, 12, tzinfo=UTC)
DIGEST = "9f" * 32


class Tick:
    """Seconds that the test counts."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ({"send"}, {"send"}),
        ({"read"}, {"read"}),
        ({"operate"}, {"send", "read", "operate"}),
        ({"send", "read"}, {"send", "read"}),
    ],
)
def test_what_roles_include(roles: set[str], may: set[str]):
    """`operate` includes send and read; send and read include nothing else."""
    _, line = new_token("ada", roles)
    (token,) = parse_tokens(line, "tokens")
    assert {role.value for role in Role if token.may(role)} == may


def test_a_new_token_is_nowhere_but_in_the_callers_hands(path: Path):
    """The file holds the digest alone, is readable by its owner alone, and no two secrets are alike."""
    secrets = [create_token(path, "ada", ["read"]) for _ in range(2)]
    text = path.read_text()
    assert len(set(secrets)) == 2
    assert not any(secret in text for secret in secrets)
    assert [token.digest for token in load_tokens(path)] == [digest_of(secret) for secret in secrets]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_added_after_a_last_line_without_its_end(path: Path):
    """A file that a person edited without a final line end is not spoilt."""
    path.write_text(f"ada read {DIGEST}")
    create_token(path, "bob", ["send"])
    assert [token.name for token in load_tokens(path)] == ["ada", "bob"]


def test_two_tokens_of_one_name_are_valid_at_once(path: Path):
    """While a token is rotated, the old and the new one both work; an unknown one does not."""
    old, new = create_token(path, "ada", ["read"]), create_token(path, "ada", ["read"])
    tokens = Tokens(path)
    assert [tokens.bearer(secret, NOW) is not None for secret in (old, new, old + "x", "")] == [
        True,
        True,
        False,
        False,
    ]


def test_an_expired_token_is_none(path: Path):
    """A token is valid until, not at, the moment that its line names."""
    secret = create_token(path, "ada", ["read"], expires=NOW)
    tokens = Tokens(path)
    assert tokens.bearer(secret, NOW - timedelta(microseconds=1)) is not None
    assert tokens.bearer(secret, NOW) is None


def test_comments_and_empty_lines():
    """People may explain what stands in the file."""
    assert parse_tokens(f"# all of them\n\n  ada read {DIGEST}  # until May\n", "tokens")[0].name == "ada"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ada read", "tokens: line 1: want `name roles sha256 [expires]`, got 2 words"),
        (f"-ada read {DIGEST}", 'tokens: line 1: want a name of letters, digits and ._@- (at most 64), got "-ada"'),
        (f"ada admin {DIGEST}", 'tokens: line 1: want roles of send, read, operate, got "admin"'),
        (f"ada send, {DIGEST}", 'tokens: line 1: want roles of send, read, operate, got ""'),
        (
            "ada read mm_secret",
            "tokens: line 1: want the SHA-256 of the token, 64 hex digits (make the line with `modelmend token`)",
        ),
        (f"ada read {DIGEST} soon", 'tokens: line 1: want an RFC 3339 time as its end, got "soon"'),
        (
            f"ada read {DIGEST} 2025-01-01T00:00:00",
            'tokens: line 1: want a time with its offset as its end, got "2025-01-01T00:00:00"',
        ),
    ],
)
def test_what_is_wrong_with_a_line(line: str, problem: str):
    """Each mistake is one message with its line; what may be a secret is not repeated."""
    with pytest.raises(ConfigError) as raised:
        parse_tokens(line, "tokens")
    assert raised.value.problems == (problem,)


def test_all_bad_lines_are_told_at_once():
    """Nobody has to run it again for the second mistake."""
    with pytest.raises(ConfigError) as raised:
        parse_tokens(f"a\nada read {DIGEST}\nb", "tokens")
    assert len(raised.value.problems) == 2


def test_a_file_that_is_not_there(path: Path):
    """Tokens that are configured and cannot be read stop the start."""
    with pytest.raises(ConfigError, match="want a readable tokens file"):
        Tokens(path)


@pytest.mark.parametrize(("name", "roles"), [("", ["read"]), ("a b", ["read"]), ("ada", []), ("ada", ["admin"])])
def test_tokens_that_cannot_be_made(name: str, roles: list[str]):
    """A name with spaces, no role or an unknown one is refused before anything is written."""
    with pytest.raises(ValueError, match=r"want|admin"):
        new_token(name, roles)


def test_the_file_is_read_again_when_it_changes(path: Path):
    """A revoked token ends within a second, a new one begins; nobody restarts anything."""
    tick = Tick()
    old = create_token(path, "ada", ["read"])
    tokens = Tokens(path, tick=tick)
    path.unlink()
    new = create_token(path, "bob", ["read"])
    assert tokens.bearer(old, NOW) is not None
    tick.seconds += LOOK_EVERY
    assert tokens.bearer(old, NOW) is None
    found = tokens.bearer(new, NOW)
    assert found is not None
    assert found.name == "bob"


def test_a_file_that_went_bad_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture):
    """A broken or vanished file is logged, and what was read before stays in force."""
    tick = Tick()
    secret = create_token(path, "ada", ["read"])
    tokens = Tokens(path, tick=tick)
    for spoil in (lambda: path.write_text("nonsense"), path.unlink):
        spoil()
        tick.seconds += LOOK_EVERY
        with caplog.at_level(logging.ERROR):
            assert tokens.bearer(secret, NOW) is not None
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
