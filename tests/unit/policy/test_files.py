import pytest

from controller.policy import parse_documents, read_documents, stamps

MODEL = "kind: Model\nmetadata: {name: %s}\n"


def test_reads_every_document_of_files_and_folders(tmp_path):
    """YAML files of a folder, and of those below it, are read; others and hidden ones are not."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "..data").mkdir()
    (tmp_path / "a.yaml").write_text(MODEL % "a" + "---\n" + MODEL % "b")
    (tmp_path / "deep" / "c.yml").write_text(MODEL % "c")
    (tmp_path / "notes.txt").write_text("no YAML: [")
    (tmp_path / ".hidden.yaml").write_text("no YAML: [")
    (tmp_path / "..data" / "a.yaml").write_text(MODEL % "a")
    own = tmp_path / "named.conf"
    own.write_text(MODEL % "d")
    documents, problems = read_documents([tmp_path, own])
    assert [document.name for document in documents] == ["a", "b", "c", "d"]
    assert documents[0].file == str(tmp_path / "a.yaml")
    assert problems == []


def test_says_what_cannot_be_read(tmp_path):
    """A path that is not there, a file that is no UTF-8 and one that is too large are named; the others are read."""
    (tmp_path / "a.yaml").write_bytes(b"kind: Model\nname: \xff\n")
    (tmp_path / "b.yaml").write_text(MODEL % "b")
    (tmp_path / "c.yaml").write_text("#" * (4 * 1024 * 1024 + 1))
    (tmp_path / "d.yaml").symlink_to(tmp_path / "gone")
    documents, problems = read_documents([tmp_path, tmp_path / "none"])
    assert [document.name for document in documents] == ["b"]
    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/a.yaml: line 2: want UTF-8",
        f"{tmp_path}/c.yaml: want at most 4 MiB",
        f"{tmp_path}/d.yaml: cannot be read: No such file or directory",
        f"{tmp_path}/none: no such file or folder",
    ]


@pytest.mark.parametrize("change", ["write", "replace", "remove", "add"])
def test_stamps_change_with_the_files(tmp_path, change):
    """Whatever happens to a file shows in the stamps; where nothing does, they stay equal."""
    file = tmp_path / "a.yaml"
    file.write_text(MODEL % "a")
    before = stamps([tmp_path])
    assert stamps([tmp_path]) == before
    if change == "write":
        file.write_text(MODEL % "another")
    elif change == "replace":
        (tmp_path / "new").write_text(MODEL % "b")
        (tmp_path / "new").replace(file)
    elif change == "remove":
        file.unlink()
    else:
        (tmp_path / "b.yaml").write_text(MODEL % "b")
    assert stamps([tmp_path]) != before


def test_a_deeply_nested_document_is_refused_by_name():
    """Of one file a document of more than 32 levels is refused, with its name and the place; the other is read."""

    def model(name, levels):
        return f"kind: Model\nmetadata: {{name: {name}}}\nspec: {'{a: ' * (levels - 1)}{'}' * (levels - 1)}\n"

    documents, problems = parse_documents("---\n".join([model("deep", 33), model("good", 32)]), "a.yaml")
    assert [document.name for document in documents] == ["good"]
    path = ".".join(["spec", *["a"] * 31])
    assert [str(problem) for problem in problems] == [
        f'a.yaml: Model "default/deep": {path}: want at most 32 levels of nesting in a document'
    ]
