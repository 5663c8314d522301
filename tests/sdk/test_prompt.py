from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptspan import Prompt, PromptError, traced_prompt

if TYPE_CHECKING:
    from pathlib import Path

    from recorded import Recorded

FILE = """---
name: inbox-summary
version: "7"
owner: mail@example.org
description: Sums an inbox up.
model: gpt-4o-mini
variables: [mails, language]
---
Sum up in {{language}}, as JSON like {"summary": "..."}:

{{ mails }}
"""


def written(folder: Path, text: str, name: str = "summary.md") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_gives_name_version_and_template(tmp_path: Path) -> None:
    prompt = Prompt.from_file(written(tmp_path, FILE))
    assert (prompt.name, prompt.version, prompt.owner) == ("inbox-summary", "7", "mail@example.org")
    assert prompt.model == "gpt-4o-mini"
    assert prompt.variables == ("mails", "language")
    assert prompt.render(mails="1. Hi {{language}}", language="French") == (
        'Sum up in French, as JSON like {"summary": "..."}:\n\n1. Hi {{language}}'
    )


def test_a_file_without_front_matter_is_named_like_the_file(tmp_path: Path) -> None:
    prompt = Prompt.from_file(written(tmp_path, "Say {{word}}.\n", "greet.txt"))
    assert (prompt.name, prompt.template, prompt.variables) == ("greet", "Say {{word}}.", ("word",))
    assert prompt.version == prompt.template_hash[:12]


def test_without_a_version_each_template_has_its_own() -> None:
    one, two = Prompt(name="p", template="One {{x}}"), Prompt(name="p", template="Two {{x}}")
    assert one.version != two.version
    assert one.version == Prompt(name="p", template="One {{x}}").version
    assert len(one.template_hash) == 64


def test_line_endings_make_no_new_version() -> None:
    assert Prompt(name="p", template="a\r\nb").version == Prompt(name="p", template="a\nb").version


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "missing 'language', 'mails'"),
        ({"mails": "x"}, "missing 'language'"),
        ({"mails": "x", "language": "y", "tone": "z"}, "unknown 'tone'"),
        ({"mails": "x", "lang": "y"}, "missing 'language'; unknown 'lang'"),
    ],
)
def test_missing_and_unknown_variables_are_named(
    tmp_path: Path, variables: dict[str, Any], words: str
) -> None:
    prompt = Prompt.from_file(written(tmp_path, FILE))
    with pytest.raises(PromptError) as caught:
        prompt.render(**variables)
    assert words in str(caught.value)
    assert "its variables: 'language', 'mails'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("---\nname: x\nbody", "no closing line"),
        ("---\nname: [\n---\nbody", "not YAML"),
        ("---\n- a\n---\nbody", "list of 'key: value' lines"),
        ("---\nname: x\n---\n", "no template"),
        ("---\nnmae: x\n---\nbody", "unknown front matter 'nmae'"),
        ("---\nversion: 1.10\n---\nbody", "in quotes"),
        ("---\nname: [a]\n---\nbody", "name must be a text"),
        ("---\nvariables: 3\n---\nbody", "list of names"),
        ("---\nvariables: [a]\n---\n{{a}} {{b}}", "uses 'b'"),
        ("---\nshare_template: maybe\n---\nbody", "true or false"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_reason(tmp_path: Path, text: str, words: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(PromptError) as caught:
        Prompt.from_file(file)
    assert str(caught.value).startswith(str(file))
    assert words in str(caught.value)


def test_files_that_cannot_be_read_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no such prompt file"):
        Prompt.from_file(tmp_path / "absent.md")
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    with pytest.raises(PromptError, match="not UTF-8"):
        Prompt.from_file(tmp_path / "latin.md")
    with pytest.raises(PromptError, match="cannot be read"):
        Prompt.from_file(tmp_path)


def test_a_number_as_version_is_its_digits(tmp_path: Path) -> None:
    assert Prompt.from_file(written(tmp_path, "---\nversion: 7\n---\nbody")).version == "7"


def test_other_files_are_included_and_count_for_the_version(tmp_path: Path) -> None:
    written(tmp_path, "---\nname: tone\n---\nBe kind to {{who}}.", "tone.md")
    file = written(tmp_path, "{{> tone.md}} Say {{word}}.")
    first = Prompt.from_file(file)
    assert first.render(who="all", word="hi") == "Be kind to all. Say hi."
    written(tmp_path, "Be brief.", "tone.md")
    assert Prompt.from_file(file).version != first.version


def test_a_file_that_includes_itself_is_refused_with_the_way_round(tmp_path: Path) -> None:
    written(tmp_path, "{{> b.md}}", "a.md")
    written(tmp_path, "{{> c.md}}", "b.md")
    written(tmp_path, "{{> b.md}}", "c.md")
    with pytest.raises(PromptError, match=r"c\.md: includes itself: b\.md -> c\.md -> b\.md"):
        Prompt.from_file(tmp_path / "a.md")


def test_an_included_file_that_is_absent_is_named_with_who_includes_it(tmp_path: Path) -> None:
    file = written(tmp_path, "{{> parts/tone.md}}")
    with pytest.raises(PromptError, match=r"summary\.md: it includes parts/tone\.md: .*no such prompt file"):
        Prompt.from_file(file)


def test_a_missing_variable_names_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, FILE)
    with pytest.raises(PromptError, match="missing 'language'; unknown 'lang'") as caught:
        Prompt.from_file(file).render(mails="x", lang="y")
    assert str(caught.value).startswith(f"{file}: prompt 'inbox-summary' version '7'")


class TestGit:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        if shutil.which("git") is None:
            pytest.skip("git is not installed")
        folder = tmp_path / "repository"
        (folder / "prompts").mkdir(parents=True)
        written(folder / "prompts", "Say {{word}}.", "say.md")
        self.git(folder, "init", "-q", "-b", "main")
        self.git(folder, "add", ".")
        self.git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "say")
        return folder

    def git(self, folder: Path, *command: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    @pytest.mark.parametrize("state", ["loose", "packed", "detached"])
    def test_the_commit_is_that_of_the_working_tree(self, repository: Path, state: str) -> None:
        if state == "packed":
            self.git(repository, "pack-refs", "--all")
        elif state == "detached":
            self.git(repository, "checkout", "-q", "--detach")
        prompt = Prompt.from_file(repository / "prompts" / "say.md")
        assert prompt.git_commit == self.git(repository, "rev-parse", "HEAD")

    @pytest.mark.parametrize("packed", [False, True])
    def test_a_worktree_has_its_own(self, repository: Path, tmp_path: Path, packed: bool) -> None:
        tree = tmp_path / "tree"
        self.git(repository, "worktree", "add", "-q", "-b", "other", str(tree))
        written(tree / "prompts", "Sing {{word}}.", "say.md")
        self.git(tree, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qam", "sing")
        if packed:
            self.git(repository, "pack-refs", "--all")
        commit = Prompt.from_file(tree / "prompts" / "say.md").git_commit
        assert commit == self.git(tree, "rev-parse", "HEAD") != self.git(repository, "rev-parse", "HEAD")

    @pytest.mark.parametrize(
        "head", ["", "ref: refs/heads/absent", "ref: ../../etc/passwd", "ref: refs/../HEAD", "0000", "\x00"]
    )
    def test_without_one_it_is_empty(self, tmp_path: Path, head: str) -> None:
        file = written(tmp_path, "Say")
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "HEAD").write_text(head)
        assert Prompt.from_file(file).git_commit == ""

    def test_it_is_on_the_spans(self, repository: Path, recorded: Recorded) -> None:
        prompt = Prompt.from_file(repository / "prompts" / "say.md")

        @traced_prompt(prompt=prompt)
        def by_the_decorator() -> str:
            return "x"

        @traced_prompt
        def by_rendering() -> str:
            return prompt.render(word="x")

        by_the_decorator()
        by_rendering()
        commits = [(span.attributes or {})["promptspan.prompt.git_commit"] for span in recorded.all()]
        assert commits == [prompt.git_commit] * 2


def test_a_prompt_needs_a_name() -> None:
    with pytest.raises(PromptError, match="needs a name"):
        Prompt(name=" ")


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(), min_size=3), st.text())
def test_values_are_put_in_as_they_are(values: dict[str, str], between: str) -> None:
    between = between.replace("{{", "")
    template = f"{{{{a}}}}{between} | {{{{ b }}}} | {{{{c}}}}"
    rendered = Prompt(name="p", template=template).render(**values)
    assert rendered == f"{values['a']}{between} | {values['b']} | {values['c']}"


class TestOnSpans:
    def test_the_template_is_sent_once_and_its_hash_always(self, recorded: Recorded) -> None:
        prompt = Prompt(name="p", template="Say {{word}}.")

        @traced_prompt(prompt=prompt)
        def ask(word: str) -> str:
            return prompt.render(word=word)

        ask("one")
        ask("two")
        first, second = (dict(span.attributes or {}) for span in recorded.all())
        assert first["promptspan.prompt.template"] == "Say {{word}}."
        assert "promptspan.prompt.template" not in second
        assert first["promptspan.prompt.template_hash"] == second["promptspan.prompt.template_hash"]
        assert first["gen_ai.prompt.version"] == prompt.version
        assert "gen_ai.prompt.variable.word" not in first  # a user's data, unlike the template

    def test_a_template_can_be_kept_back(self, recorded: Recorded) -> None:
        prompt = Prompt(name="p", template="Say {{word}}.", share_template=False)

        @traced_prompt(prompt=prompt)
        def ask() -> str:
            return "hi"

        ask()
        assert "promptspan.prompt.template" not in recorded.attributes()

    def test_all_templates_can_be_kept_back(self, configured: Any) -> None:
        recorded = configured(send_templates=False)

        @traced_prompt(prompt=Prompt(name="p", template="Say {{word}}."))
        def ask() -> str:
            return "hi"

        ask()
        assert "promptspan.prompt.template" not in recorded.attributes()

    def test_variables_and_the_rendered_text_go_where_content_is_captured(self, captured: Recorded) -> None:
        prompt = Prompt(name="p", template="Say {{word}}.")

        @traced_prompt(prompt=prompt)
        def ask(word: str) -> str:
            return prompt.render(word=word).upper()

        ask("hi")
        attributes = captured.attributes()
        assert attributes["gen_ai.prompt.variable.word"] == "hi"
        assert "Say hi." in attributes["gen_ai.input.messages"]
        assert "SAY HI." in attributes["gen_ai.output.messages"]

    def test_arguments_named_like_variables_are_the_variables(self, captured: Recorded) -> None:
        @traced_prompt(prompt=Prompt(name="p", template="Say {{word}}."))
        def ask(word: str, other: str) -> str:
            return "hi"

        ask("hello", other="x")
        attributes = captured.attributes()
        assert attributes["gen_ai.prompt.variable.word"] == "hello"
        assert "gen_ai.prompt.variable.other" not in attributes

    def test_a_prompt_rendered_inside_names_the_call(self, recorded: Recorded) -> None:
        @traced_prompt
        def ask() -> str:
            return Prompt(name="greeting", version="4", template="Hi {{who}}").render(who="you")

        ask()
        attributes = recorded.attributes()
        assert (attributes["gen_ai.prompt.name"], attributes["gen_ai.prompt.version"]) == ("greeting", "4")

    def test_a_failed_call_has_the_model_that_its_prompt_names(self, recorded: Recorded) -> None:
        @traced_prompt(prompt=Prompt(name="p", template="x", model="gpt-4o-mini"))
        def ask() -> str:
            raise KeyError

        with pytest.raises(KeyError):
            ask()
        assert recorded.attributes()["gen_ai.request.model"] == "gpt-4o-mini"
