"""Settings: three layers, every fault at once with its place, and a page that names each of them."""

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from controller.durations import format_duration
from controller.errors import ConfigError
from controller.settings import Fleet, ProxyAuth, Receiver, Sender, Settings
from controller.settings.layers import PREFIX, variables
from controller.settings.scalars import format_size, is_loopback, parse_size, split_address

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def loaded(tmp_path, text="", flags=None, environ=None):
    path = tmp_path / "modelmend.yaml"
    path.write_text(text)
    return Settings.load(path, flags or {}, environ or {})


def problems(tmp_path, text="", flags=None, environ=None):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, flags, environ)
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_without_anything_there_are_defaults():
    """No file, no variables, no flags: it serves this machine out of the current folder."""
    settings = Settings.load(None, {}, {})
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.database_url == f"sqlite:///{Path.cwd()}/.modelmend/modelmend.db"
    assert settings == Settings()


def test_later_layers_win(tmp_path):
    """A flag wins over a variable, a variable over the file, the file over the default."""
    text = "workers: 1\nbacklog: 1\nlogLevel: error\n"
    settings = loaded(
        tmp_path, text, {"workers": 3, "backlog": None}, {"MODELMEND_WORKERS": "2", "MODELMEND_BACKLOG": "2"}
    )
    assert (settings.workers, settings.backlog, settings.log_level, settings.log_format) == (3, 2, "error", "text")


def test_parts_of_a_group_are_laid_over_each_other(tmp_path):
    """A variable that sets one part of `fleet` leaves the other part as the file has it."""
    settings = loaded(tmp_path, "fleet: {active: 3, share: 50%}", {}, {"MODELMEND_FLEET_SHARE": "20%"})
    assert settings.fleet == Fleet(active=3, share=0.2)


def test_a_variable_may_hold_structure(tmp_path):
    """Mappings are YAML in a variable, lists of paths are separated as PATH is, empty means not set."""
    environ = {
        "MODELMEND_SENDERS": "{'urn:x': {period: 1h, namespace: ml}}",
        "MODELMEND_POLICIES": "a.yaml:/etc/policies",
        "MODELMEND_INSECURE": "true",
        "MODELMEND_DATABASE": "",
    }
    settings = loaded(tmp_path, "database: postgresql://host/name", {}, environ)
    assert settings.senders == {"urn:x": Sender(period=timedelta(hours=1), namespace="ml")}
    assert settings.policies == (Path("a.yaml"), Path("/etc/policies"))
    assert settings.insecure is True
    assert settings.database_url == "postgresql://host/name"


def test_the_variable_modelmend_config_names_the_file(tmp_path):
    """MODELMEND_CONFIG stands for --config where that is not given."""
    path = tmp_path / "other.yaml"
    path.write_text("workers: 7")
    assert Settings.load(None, {}, {"MODELMEND_CONFIG": str(path)}).workers == 7


def test_paths_in_the_file_are_relative_to_its_folder(tmp_path):
    """What the file names lies beside it; what variables and flags name lies where the command runs."""
    text = "data: db\npolicies: [p, /abs]\nkubernetes: true\nkubeconfig: k\nreceivers: {default: {url: 'https://x/y', tokenFile: t}}"
    settings = loaded(tmp_path, text, {"tokens": "tokens"})
    assert settings.data == tmp_path / "db"
    assert settings.policies == (tmp_path / "p", Path("/abs"))
    assert settings.receivers["default"].token_file == tmp_path / "t"
    assert settings.kubeconfig == tmp_path / "k"
    assert settings.tokens == Path("tokens")
    assert loaded(tmp_path, "data: db", {}, {"MODELMEND_DATA": "here"}).data == Path("here")


FAULTS = [
    ("workers: true", "modelmend.yaml: workers: want a whole number, got true"),
    ("workers: 0", "modelmend.yaml: workers: want at least 1, got 0"),
    ("workers: 257", "modelmend.yaml: workers: want at most 256, got 257"),
    ("insecure: on", 'modelmend.yaml: insecure: want true or false, got "on"'),
    ("listen: 8080", "modelmend.yaml: listen: want a string, got 8080"),
    ("listen: localhost", 'modelmend.yaml: listen: want host:port, such as 127.0.0.1:8080, got "localhost"'),
    (
        "listen: localhost:70000",
        'modelmend.yaml: listen: want host:port, such as 127.0.0.1:8080, got "localhost:70000"',
    ),
    (
        "listen: :8080",
        'modelmend.yaml: listen: want a loopback address such as 127.0.0.1:8080, or `tokens`, or `insecure: true`, got ":8080"',
    ),
    ("reloadEvery: 5", "modelmend.yaml: reloadEvery: want a duration such as 30s, 15m, 1h30m or 7d, got 5"),
    ("reloadEvery: 5 s", 'modelmend.yaml: reloadEvery: want a duration such as 30s, 15m, 1h30m or 7d, got "5 s"'),
    ("reloadEvery: 0s", 'modelmend.yaml: reloadEvery: want a duration longer than 0s, got "0s"'),
    ("maxBody: 1XB", 'modelmend.yaml: maxBody: want bytes, or a size such as 64KiB or 1MiB, got "1XB"'),
    ("maxBody: 1.5", "modelmend.yaml: maxBody: want bytes, or a size such as 64KiB or 1MiB, got 1.5"),
    ("maxBody: 1", "modelmend.yaml: maxBody: want at least 1024, got 1"),
    ("maxBatch: 2KiB", 'modelmend.yaml: maxBatch: want at least as much as maxBody, got "2KiB"'),
    ("logLevel: loud", "modelmend.yaml: logLevel: want 'debug', 'info', 'warning' or 'error', got \"loud\""),
    ("polices: []", 'modelmend.yaml: polices: unknown key, did you mean "policies"?'),
    ("log_level: info", 'modelmend.yaml: log_level: unknown key, did you mean "logLevel"?'),
    ("policies: x.yaml", 'modelmend.yaml: policies: want a list, got "x.yaml"'),
    ("policies: ['']", 'modelmend.yaml: policies.0: want a path, got ""'),
    ("fleet: 5", "modelmend.yaml: fleet: want a mapping, got 5"),
    ("fleet: {share: 10}", "modelmend.yaml: fleet.share: want a share such as 10%, got 10"),
    ("fleet: {share: 0%}", 'modelmend.yaml: fleet.share: want a share over 0% and up to 100%, got "0%"'),
    ("fleet: {x: 1}", "modelmend.yaml: fleet.x: unknown key, want one of active, share"),
    ("senders: {'urn:x': {perod: 1h}}", 'modelmend.yaml: senders.urn:x.perod: unknown key, did you mean "period"?'),
    ("senders: {'urn:x': 3}", "modelmend.yaml: senders.urn:x: want a mapping, got 3"),
    ("senders: []", "modelmend.yaml: senders: want a mapping, got a list"),
    ("receivers: {default: {}}", "modelmend.yaml: receivers.default.url: want a value, got nothing"),
    (
        "modelPattern: '('",
        'modelmend.yaml: modelPattern: want a regular expression (missing ), unterminated subpattern at position 0), got "("',
    ),
    (
        "modelPattern: 'x'",
        'modelmend.yaml: modelPattern: want a regular expression with the groups (?P<model>...) and (?P<version>...), got "x"',
    ),
    (
        "server: localhost:8080",
        'modelmend.yaml: server: want a URL that begins with http:// or https://, got "localhost:8080"',
    ),
    ("workers: 1\nworkers: 2", 'modelmend.yaml: line 2: duplicate key "workers", first on line 1'),
    ("context: prod", 'modelmend.yaml: context: want `kubernetes: true` beside it, got "prod"'),
    ("kubeconfig: k", 'modelmend.yaml: kubeconfig: want `kubernetes: true` beside it, got "k"'),
    ("- a", "modelmend.yaml: want a mapping, got a list"),
    ("a: [", "modelmend.yaml: line 2: did not find expected node content"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS, ids=[text[:30] for text, _ in FAULTS])
def test_a_fault_names_file_field_wanted_and_found(tmp_path, text, message):
    """Each possible fault alone gives one message that says where, what was wanted, what was found."""
    assert problems(tmp_path, text) == [message]


def test_a_fault_names_the_variable_or_the_flag(tmp_path):
    """What a variable or a flag said wrongly is told under its own name."""
    environ = {"MODELMEND_WORKERS": "many", "MODELMEND_FLEET_ACTIVE": "0", "MODELMEND_SENDERS": "{a: {period: x}}"}
    assert problems(tmp_path, "workers: 3", {"log_level": "loud"}, environ) == [
        'MODELMEND_SENDERS: a.period: want a duration such as 30s, 15m, 1h30m or 7d, got "x"',
        "MODELMEND_FLEET_ACTIVE: want at least 1, got 0",
        'MODELMEND_WORKERS: want a whole number, got "many"',
        "--log-level: want 'debug', 'info', 'warning' or 'error', got \"loud\"",
    ]


def test_all_faults_are_told_at_once(tmp_path):
    """One run names every fault of every layer."""
    found = problems(tmp_path, "workers: 0\nbacklog: x\nnope: 1", {"listen": "x"}, {"MODELMEND_LOG_FORMAT": "xml"})
    assert len(found) == 5


def test_secrets_are_not_shown(tmp_path):
    """Neither a fault nor the settings' repr shows a password, a webhook's path, a token or a header."""
    text = "database: mysql://u:s3cret@h/d\nreceivers: {a: {url: 'ftp://s3cret', headers: {Authorization: [s3cret]}}}"
    found = "\n".join(problems(tmp_path, text))
    assert "s3cret" not in found
    assert "database" in found
    text = "database: postgresql://u:s3cret@h/d\ntoken: s3cret\nreceivers: {a: {url: 'https://s3cret', headers: {A: s3cret}}}"
    assert "s3cret" not in repr(loaded(tmp_path, text))


def test_a_misspelt_variable_is_a_fault_and_kubernetes_is_not(tmp_path):
    """A variable close to a known one is told; those that Kubernetes or a step's program gets are nobody's fault."""
    environ = {
        "MODELMEND_WORKER": "3",
        "MODELMEND_SERVICE_HOST": "10.0.0.1",
        "MODELMEND_PORT_8080_TCP_ADDR": "10.0.0.1",
        "MODELMEND_REMEDIATION": "r-1",
    }
    assert problems(tmp_path, "", {}, environ) == [
        "MODELMEND_WORKER: unknown variable, did you mean MODELMEND_WORKERS?"
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A missing file and one that is no text are faults like others."""
    with pytest.raises(ConfigError, match=r"missing\.yaml: want a readable file, got: No such file or directory"):
        Settings.load(tmp_path / "missing.yaml", {}, {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigError, match=r"binary\.yaml: want UTF-8 text"):
        Settings.load(tmp_path / "binary.yaml", {}, {})


@pytest.mark.parametrize(("settings", "accepted"), [({"tokens": "t"}, True), ({"insecure": True}, True), ({}, False)])
def test_other_machines_are_served_only_with_authentication(settings, accepted):
    """An address that others reach needs tokens, or the word `insecure`."""
    try:
        Settings.load(None, {"listen": "0.0.0.0:80", **settings}, {})
    except ConfigError:
        assert not accepted
    else:
        assert accepted


@pytest.mark.parametrize(
    ("address", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.9.9.9:0", "127.9.9.9", 0, True),
        ("[::1]:80", "::1", 80, True),
        ("localhost:80", "localhost", 80, True),
        (":80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("10.0.0.1:80", "10.0.0.1", 80, False),
        ("localhost.example:80", "localhost.example", 80, False),
    ],
)
def test_addresses(address, host, port, loopback):
    """An address is split into host and port, and only loopback counts as this machine alone."""
    assert split_address(address) == (host, port)
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("sender", "lasts"),
    [
        (Sender(), timedelta(days=1)),
        (Sender(period=timedelta(hours=2)), timedelta(hours=4)),
        (Sender(stateful=True), timedelta(hours=5)),
        (Sender(stateful=True, period=timedelta(hours=1), expires=timedelta(minutes=7)), timedelta(minutes=7)),
    ],
)
def test_how_long_a_condition_lasts(sender, lasts):
    """Expires wins, else five hours for stateful senders, else twice the period, else a day."""
    assert sender.lasts == lasts


@pytest.mark.parametrize(
    ("active", "share", "models", "limit"),
    [(5, 0.1, 0, 1), (5, 0.1, 9, 1), (5, 0.1, 30, 3), (5, 0.1, 1000, 5), (50, 0.29, 100, 29), (1, 1.0, 10, 1)],
)
def test_the_smaller_fleet_limit_holds(active, share, models, limit):
    """The share is rounded down, at least one, and never more than `active`."""
    assert Fleet(active=active, share=share).limit(models) == limit


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("salary-predictor-v5", ("salary-predictor", "v5")),
        ("bert-2-v5.1-rc1", ("bert-2", "v5.1-rc1")),
        ("fraud:3", ("fraud", "3")),
        ("fraud/v2", ("fraud", "v2")),
        ("fraud@2025.01", ("fraud", "2025.01")),
        ("gpt-4", None),
        ("v5", None),
    ],
)
def test_the_default_pattern_splits_a_model_version(text, split):
    """A model and its version are told apart where a separator and a version end the text."""
    match = Settings().model_pattern.fullmatch(text)
    assert (match and (match["model"], match["version"])) == split


@given(st.integers(min_value=0, max_value=10**14))
def test_sizes_read_back_as_written(size):
    """A size that is written is read as the same number of bytes."""
    assert parse_size(format_size(size)) == size


@example("[[")
@given(st.text(max_size=60))
def test_no_text_breaks_a_scalar(text):
    """Any text in any textual setting is accepted or told as a fault, never another error."""
    for variable in variables(Settings):
        with suppress(ConfigError):
            Settings.load(None, {}, {variable.name: text.replace("\0", "")})


# ── the page ────────────────────────────────────────────────────────────────────────────────────


def written(value):
    """A default as one would write it in the file."""
    match value:
        case None:
            return "not set"
        case () | {}:
            return "none"
        case timedelta():
            return f"`{format_duration(value)}`"
        case re.Pattern():
            return f"`{value.pattern}`".replace("|", "\\|")
        case bool():
            return f"`{str(value).lower()}`"
        case _:
            return f"`{value}`"


def row(field, key, value, *cells):
    """One line of a table."""
    shown = "required" if field.is_required() else written(value)
    if key.startswith("max"):
        shown = f"`{format_size(value)}`"
    elif key.endswith("share"):
        shown = f"`{value:.0%}`"
    assert field.description, f"{key} needs a description: unit and consequence"
    return f"| {' | '.join([f'`{key}`', *cells, shown, field.description])} |"


def settings_table():
    """All settings, those of a group after it, as docs/settings.md shows them."""
    defaults = Settings()
    lines = ["| key in the file | variable | default | meaning |", "|---|---|---|---|"]
    for name, path, field in variables(Settings):
        value = defaults
        for part in path:
            value = getattr(value, next(n for n, f in type(value).model_fields.items() if f.alias == part))
        if isinstance(value, BaseModel):
            continue
        lines.append(row(field, ".".join(path), value, f"`{name}`"))
    return "\n".join(lines)


def group_table(model):
    """The keys of one entry of a mapping."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for field in model.model_fields.values():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        lines += [row(field, field.alias, default)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "table",
    [settings_table(), group_table(Sender), group_table(Receiver), group_table(ProxyAuth)],
    ids=["settings", "senders", "receivers", "proxyAuth"],
)
def test_every_setting_is_documented(table):
    """docs/settings.md holds the table of settings as the model has them; paste the new one where it differs."""
    assert table in DOCS.read_text()


def test_every_variable_is_said_to_begin_alike():
    """Variables begin with MODELMEND_ and none is named twice."""
    names = [variable.name for variable in variables(Settings)]
    assert len(names) == len(set(names))
    assert all(name.startswith(PREFIX) for name in names)


def test_the_example_on_the_page_is_valid(tmp_path):
    """The annotated file of docs/settings.md loads, and sets what it shows."""
    text = re.search(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]
    settings = loaded(tmp_path, text)
    assert settings.receivers["default"].kind == "webhook"
    assert settings.fleet.share == 0.1
    assert settings.senders["urn:drift-detector"].lasts == timedelta(hours=2)


def test_the_flag_data_wins_over_a_database_named_in_the_environment():
    """`--data` means the SQLite file there, also where MODELMEND_DATABASE names another database."""
    environ = {"MODELMEND_DATABASE": "postgresql://elsewhere/db"}
    settings = Settings.load(None, {"data": "/tmp/here"}, environ)
    assert settings.database_url == "sqlite:////tmp/here/modelmend.db"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("proxyAuth: {userHeader: X-User}", "proxyAuth.trusted"),
        ("proxyAuth: {trusted: []}", "proxyAuth.trusted: want a list that is not empty"),
        (
            "proxyAuth: {trusted: [10.2.0.1/16]}",
            "a network such as 10.0.0.0/8, or an address (10.2.0.0/16 or 10.2.0.1)",
        ),
        ("proxyAuth: {trusted: [ingress]}", "a network such as 10.0.0.0/8, or an address"),
        ("proxyAuth: {trusted: [10.0.0.0/8], userHeader: 'X User'}", "a header's name"),
        ("proxyAuth: {trusted: [10.0.0.0/8], operators: ['*']}", "want userHeader beside it"),
        ("proxyAuth: {trusted: [10.0.0.0/8], groupsHeader: X-Groups}", "want userHeader beside it"),
        (
            "proxyAuth: {trusted: [10.0.0.0/8], userHeader: X-User, operators: [sre]}",
            "want groupsHeader beside it, or `*`",
        ),
        ("proxyAuth: {trusted: [0.0.0.0/0]}", "a network smaller than the whole internet"),
        ("proxyAuth: {trusted: ['::/0']}", "a network smaller than the whole internet"),
        ("proxyAuth: {trusted: [127.0.0.1], userHeader: X-User, operators: ['*']}", "proxyAuth: want `tokens` beside"),
        ("{insecure: true, proxyAuth: {trusted: [127.0.0.1]}}", "proxyAuth: want `tokens` beside it"),
        ("publicUrl: mend.example", "a URL"),
        ("publicUrl: https://mend.example/?a=b", "a URL such as"),
        ("publicUrl: https://ada@mend.example/", "a URL such as"),
    ],
)
def test_who_may_decide_is_not_left_to_a_typing_error(tmp_path, text, wanted):
    """A proxy without addresses, or beside an API that is open; groups that no header names: told, not guessed."""
    assert wanted in problems(tmp_path, text)[0]


def test_a_proxy_and_a_public_url_are_read(tmp_path):
    """Networks of both kinds, IPv4 ones as such; the URL as browsers name it, without its last slash."""
    settings = loaded(
        tmp_path,
        "publicUrl: https://Mend.example:443/ml/\n"
        "tokens: tokens\n"
        "proxyAuth: {trusted: [10.0.0.0/8, 'fd00::/8', 192.0.2.1, '::ffff:10.0.0.1'], userHeader: X-User,"
        " operators: ['*']}",
    )
    assert settings.public_url == "https://mend.example/ml"
    networks = [str(network) for network in settings.proxy_auth.trusted]
    assert networks == ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32", "10.0.0.1/32"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("prometheus: {url: 'http://prom:9090/?tenant=1'}", "prometheus.url: want a URL such as"),
        ("prometheus: {url: 'http://prom:9090/#x'}", "prometheus.url: want a URL such as"),
        ("prometheus: {url: http://prom:9090/api/v1/}", "without /api/v1"),
        ("prometheus: {headers: {X Bad: a}}", "want a header's name"),
        ('prometheus: {headers: {X-Ok: "a\\nsecret"}}', "want a header's value, one line of ASCII, got something else"),
        ('receivers: {default: {url: "http://a", headers: {X-Ok: "a\\nsecret"}}}', "want a header's value, one line"),
    ],
)
def test_what_could_never_be_sent_is_refused(tmp_path, text, wanted):
    """Addresses and headers with which no request would ever succeed are told at once, and no value is shown."""
    (problem,) = problems(tmp_path, text)
    assert wanted in problem
    assert 'secret"' not in problem
