from controller.policy import PolicySet, accept, document_from_text, parse_documents, restored
from controller.policy import reload as reload_module
from tests.unit.policy.written import DRIFT, LADDER, policy_text

BAD = "models: {names: [m]}\nlimits: {cooldown: 0s}\n"
REFUSED = 'a.yaml: RemediationPolicy "ml/p": spec.limits.cooldown: want a positive duration, got "0s"'


def good(name="p", mode="audit", rest=""):
    return policy_text(f"models: {{names: [m]}}\n{DRIFT}\nmode: {mode}\n{rest}\n{LADDER}", name)


def bad(name="p"):
    return policy_text(f"{BAD}{DRIFT}\n{LADDER}", name)


def reload(installation, files, previous=()):
    """What comes into force from `files` (name to text) after the set before."""
    documents, problems = [], []
    for file, text in files.items():
        found, wrong = parse_documents(text, file)
        documents += found
        problems += wrong
    accepted = accept(documents, installation, problems, previous)
    return accepted, [str(problem) for problem in accepted.problems]


def modes(accepted):
    return {policy.name: policy.mode for policy in accepted.policies.policies}


def test_a_bad_document_leaves_the_one_before_in_force(installation):
    """A reload with a fault changes nothing of that document, names it, and takes the others."""
    before, _ = reload(installation, {"a.yaml": good("p", "enforce") + "---\n" + good("q")})
    after, problems = reload(
        installation, {"a.yaml": bad("p") + "---\n" + good("q", "enforce")}, before.policies.documents
    )
    assert modes(after) == {"p": "enforce", "q": "enforce"}
    assert problems == [REFUSED]
    assert [document.name for document in after.kept] == ["p"]
    assert after.policies.policy("ml", "p").digest == before.policies.policy("ml", "p").digest


def test_a_bad_document_that_was_never_good_is_left_out(installation):
    """Nothing stands in for a document of which no good text is known."""
    after, problems = reload(installation, {"a.yaml": bad("p") + "---\n" + good("q")})
    assert modes(after) == {"q": "audit"}
    assert problems == [REFUSED]


def test_what_was_kept_is_kept_again(installation):
    """A fault that stays for many reloads keeps the last good text all that time."""
    accepted, _ = reload(installation, {"a.yaml": good("p", "enforce")})
    for _ in range(3):
        accepted, problems = reload(installation, {"a.yaml": bad("p")}, accepted.policies.documents)
        assert (modes(accepted), problems) == ({"p": "enforce"}, [REFUSED])


def test_a_file_that_cannot_be_read_keeps_all_it_had(installation):
    """Broken YAML removes no policy of its file; other files are taken as they are."""
    before, _ = reload(installation, {"a.yaml": good("p") + "---\n" + good("q"), "b.yaml": good("r")})
    after, problems = reload(installation, {"a.yaml": "kind: [", "b.yaml": good("s")}, before.policies.documents)
    assert sorted(modes(after)) == ["p", "q", "s"]
    assert len(problems) == 1
    assert problems[0].startswith("a.yaml: line ")


def test_a_document_whose_head_is_bad_keeps_its_files_documents(installation):
    """Where a document cannot say its name, nobody knows which one it was: none of its file is given up."""
    before, _ = reload(installation, {"a.yaml": good("p") + "---\n" + good("q")})
    nameless = good("p").replace("name: p, ", "")
    after, problems = reload(
        installation, {"a.yaml": nameless + "---\n" + good("q", "enforce")}, before.policies.documents
    )
    assert modes(after) == {"p": "audit", "q": "enforce"}
    assert problems == ["a.yaml: document 1 (line 1): metadata.name: want a name, got nothing"]


def test_what_is_gone_is_gone(installation):
    """A document that no file has any more is out of force."""
    before, _ = reload(installation, {"a.yaml": good("p"), "b.yaml": good("q")})
    after, problems = reload(installation, {"a.yaml": good("p")}, before.policies.documents)
    assert (sorted(modes(after)), problems) == (["p"], [])


def test_a_name_that_stands_twice_is_refused_everywhere(installation):
    """Of two documents of one name neither is taken; the one before stays."""
    before, _ = reload(installation, {"a.yaml": good("p", "enforce")})
    after, problems = reload(installation, {"a.yaml": good("p"), "b.yaml": good("p")}, before.policies.documents)
    assert modes(after) == {"p": "enforce"}
    assert problems == ['b.yaml: RemediationPolicy "ml/p": stands twice, first in a.yaml (document 1)']


def test_texts_from_the_store_serve_at_a_start(installation):
    """After a restart the last accepted text serves for a bad document, and for a file that cannot be read."""
    before, _ = reload(installation, {"a.yaml": good("p", "enforce"), "b.yaml": good("q")})
    stored = [document_from_text(document.text) for document in before.policies.documents]
    after, problems = reload(installation, {"a.yaml": bad("p"), "b.yaml": "kind: ["}, stored)
    assert modes(after) == {"p": "enforce", "q": "audit"}
    assert problems[1] == REFUSED
    assert after.policies.digest == before.policies.digest


def test_bad_defaults_leave_those_before_in_force(installation):
    """A Defaults document is kept as a policy is; the policies beside it are taken with the defaults before."""
    ours = "kind: Defaults\nmetadata: {name: d, namespace: ml}\nspec: {wait: %s}\n---\n"
    silent = policy_text(f"models: {{names: [m]}}\n{DRIFT}\n{LADDER}", "p")
    before, _ = reload(installation, {"a.yaml": ours % "7m" + silent})
    after, problems = reload(installation, {"a.yaml": ours % "soon" + silent}, before.policies.documents)
    assert after.policies.policies == before.policies.policies
    assert problems == ['a.yaml: Defaults "ml/d": spec.wait: want a duration such as 30s, 15m, 1h30m or 7d, got "soon"']
    changed, _ = reload(installation, {"a.yaml": ours % "8m" + silent}, before.policies.documents)
    assert changed.policies.policies[0].digest != before.policies.policies[0].digest


def test_defaults_that_break_a_policy_leave_it_as_it_was(installation):
    """Where new defaults do not fit a policy's own words, that policy stays with the old ones, and is named."""
    ours = "kind: Defaults\nmetadata: {name: d, namespace: ml}\nspec: {within: %s, settle: 1m, for: 1m}\n---\n"
    slow = policy_text(
        f"models: {{names: [m]}}\n{DRIFT}\nsteps: [{{name: a, command: {{argv: [x]}}, verify: [{{resolved: {{}}, settle: 1h}}]}}]",
        "p",
    )
    before, problems = reload(installation, {"a.yaml": ours % "2h" + slow})
    assert problems == []
    after, problems = reload(installation, {"a.yaml": ours % "30m" + slow}, before.policies.documents)
    assert after.policies.policies == before.policies.policies
    assert problems == [
        'a.yaml: RemediationPolicy "ml/p": spec.steps[0].verify[0].within: want more than settle + for (1h1m), got the default "30m"'
    ]


def test_the_documents_in_force_are_enough_to_build_the_set_again(installation):
    """From the texts that the store keeps, the same set is built, digest and all."""
    ours = "kind: Defaults\nmetadata: {name: d, namespace: ml}\nspec: {wait: 7m}\n---\n"
    before, _ = reload(installation, {"a.yaml": ours + good("p") + "---\nkind: Model\nmetadata: {name: m}\n"})
    again = accept([document_from_text(document.text) for document in before.policies.documents], installation)
    assert again.problems == ()
    assert again.policies.digest == before.policies.digest
    assert again.policies.policies == before.policies.policies
    assert restored(again.policies.documents).digest == before.policies.digest
    assert restored(again.policies.documents).policies == before.policies.policies
    assert PolicySet().digest != before.policies.digest


def test_a_fault_of_ours_in_one_document_is_its_own_problem(installation, monkeypatch):
    """Whatever reading one document raises, the one before stays in force, and the others are taken."""
    read = reload_module.read_policy

    def fails(text):
        if text["spec"].get("mode") == "enforce" and text["metadata"]["name"] == "p":
            raise RecursionError("too deep")
        return read(text)

    before, _ = reload(installation, {"a.yaml": good("p")})
    monkeypatch.setattr(reload_module, "read_policy", fails)
    after, problems = reload(
        installation, {"a.yaml": good("p", "enforce") + "---\n" + good("q", "enforce")}, before.policies.documents
    )
    assert modes(after) == {"p": "audit", "q": "enforce"}
    assert problems == ["a.yaml: RemediationPolicy \"ml/p\": cannot be read: RecursionError('too deep')"]
