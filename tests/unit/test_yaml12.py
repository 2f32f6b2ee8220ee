"""YAML 1.2's plain scalars, and the faults that a reader of policies must not let through."""

import itertools

import pytest

from controller.yaml12 import MAX_DEPTH, MAX_NODES, YamlDocument, YamlError, load, load_all


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("12:30", "12:30"),
        ("1:2:3.5", "1:2:3.5"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("0b11", "0b11"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("7", 7),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ('"7"', "7"),
        ("!!str 7", "7"),
        ("!!int 0o17", 15),
        ("2w", "2w"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    """A plain scalar has the type that YAML 1.2's core schema gives it."""
    found = load(f"key: {text}")["key"]
    assert (found, type(found)) == (value, type(value))


def test_keys_such_as_on_stay_strings():
    """The key `on` is the string "on", and a merge key is an ordinary key."""
    assert load("on: 1\n'<<': 2\n<<x: 3") == {"on": 1, "<<": 2, "<<x": 3}
    assert load("<<: {a: 1}") == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3", 'line 5: duplicate key "c", first on line 3'),
        ("{a: 1, a: 2}", 'line 1: duplicate key "a", first on line 1'),
        ("a: 1\n5: x", "line 2: want a string as key, got 5; put it in quotes"),
        ("? [a]\n: b", "line 1: want a string as key, got a sequence; put it in quotes"),
        ("a: !!python/object:os.system x", "line 1: want no tag, got tag:yaml.org,2002:python/object:os.system"),
        ("a: !!timestamp 2024-01-01", "line 1: want no tag, got tag:yaml.org,2002:timestamp"),
        ("a: !!binary aGk=", "line 1: want no tag, got tag:yaml.org,2002:binary"),
        ("a: !own 3", "line 1: want no tag, got !own"),
        ("a: !!int foo", 'line 1: want an integer, got "foo"'),
        ("a: !!bool on", 'line 1: want true or false, got "on"'),
        ("a: !!null x", 'line 1: want null, got "x"'),
        ("a: !!map [1]", "line 1: want a mapping, got a sequence"),
        ("a: !!seq {}", "line 1: want a sequence, got a mapping"),
        ("a: !!str [1]", 'line 1: want a string, got "a sequence"'),
        ("a: 1e999", 'line 1: want a finite number, got "1e999"'),
        ("a: " + "9" * 5000, f'line 1: want an integer, got "{"9" * 40}"'),
        ("a: &a [*a]", "line 1: an alias stands within what it names"),
        ("a: *x", "line 1: found undefined alias"),
        ("a: [", "line 2: did not find expected node content"),
        ("a: 1\nb: \x01", "line 2: control characters are not allowed"),
        ("a: 1\nb: \ud800", "line 2: want Unicode text, got half a surrogate pair"),
        ("a: 1\n---\nb: 2", "line 3: want one document, got 2"),
        ("x" * 5_000_000, "line 1: want at most 4194304 characters, got 5000000"),
    ],
)
def test_a_fault_is_named_with_its_line(text, message):
    """What is not acceptable is refused with the line and what was wanted."""
    with pytest.raises(YamlError) as caught:
        load(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{" * 100_000, "a: " + "[" * 65 + "]" * 65])
def test_deep_nesting_is_refused(text):
    """Nesting that would end the process inside the C parser is a named fault."""
    with pytest.raises(YamlError, match=f"want at most {MAX_DEPTH} levels of nesting"):
        load(text)


def test_aliases_cannot_blow_up_a_document():
    """A few hundred characters of aliases that stand for billions of values are refused."""
    names = "abcdefghijk"
    lines = ["a: &a [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in itertools.pairwise(names)]
    with pytest.raises(YamlError, match=f"want at most {MAX_NODES} values"):
        load("\n".join(lines))


def test_aliases_cannot_hide_depth():
    """Depth is counted through aliases, since what reads the value would recurse through them."""
    lines = ["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 70)]
    with pytest.raises(YamlError, match=f"want at most {MAX_DEPTH} levels of nesting"):
        load("\n".join(lines))


def test_an_alias_is_written_out():
    """An anchor used twice gives its value twice."""
    assert load("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}


def test_documents_come_with_the_line_on_which_they_begin():
    """Empty documents are left out, the others keep their first line."""
    assert load_all("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n") == [
        YamlDocument({"a": 1}, 3),
        YamlDocument({"b": 2}, 7),
    ]
    assert load_all("") == []
    assert load("# nothing") is None
