"""Rule files: what is read, and what each mistake says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from promptspan_server.alerts.documents import DocumentError
from promptspan_server.alerts.rule_files import RuleFiles, load_rules, rules_directory
from promptspan_server.alerts.rules import ErrorRule, said


def written(tmp_path: Path, text: str, name: str = "team.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path


def test_the_built_in_rules_need_no_file() -> None:
    book = load_rules()
    assert {rule.kind for rule in book.rules.values()} >= {
        *("errors", "latency", "flags", "spend", "traffic", "regression", "drift"),
        *("unpriced", "lag", "losses", "blind"),
    }
    assert book.inhibitions[0].source == {"rule": "provider-outage"}


def test_a_rule_of_the_same_name_replaces_a_built_in_one_and_others_stay(tmp_path: Path) -> None:
    book = load_rules(
        written(
            tmp_path,
            """
rules:
  - {name: errors, kind: errors, objective: 0.95, by: [feature], for: 1m, runbook: "https://wiki.example/x"}
  - {name: latency, kind: latency, enabled: false}
notify: {group_wait: 0s, repeat_interval: 12h}
""",
        )
    )
    errors = book.rules["errors"]
    assert isinstance(errors, ErrorRule)
    assert (errors.objective, errors.by, errors.hold) == (0.95, ("feature",), timedelta(minutes=1))
    assert "latency" not in book.rules
    assert "spend" in book.rules
    assert book.policy.repeat_interval == timedelta(hours=12)


def test_a_rules_version_follows_from_what_it_says() -> None:
    first, second = (load_rules().rules["errors"] for _ in range(2))
    assert first.version == second.version
    assert first.model_copy(update={"objective": 0.5}).version != first.version


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("rules:\n  - name: a\n    kind: errors\n    objective: 99\n", 4, "less than 1"),
        ("rules:\n  - name: a\n    kind: erorrs\n", 2, "erorrs"),
        ("rules:\n  - kind: errors\n", 2, "Field required"),
        (
            "rules:\n  - {name: a, kind: errors}\n  - name: b\n    kind: errors\n    by: [promt_name]\n",
            5,
            "should be 'env",
        ),
        ("rules:\n  - name: a\n    kind: errors\n    objectiv: 0.9\n", 4, "objectiv"),
        ("rules:\n  - name: a\n    kind: errors\n    for: soon\n", 4, "write 30s, 5m, 6h, 3d or 1h30m"),
        ("rules:\n  - name: a\n    kind: errors\n    every: 1s\n", 4, "5s at least"),
        ("rules:\n  - name: a\n    kind: spend\n    by: [provider]\n", 2, "take `provider` out"),
        ("rules: [\n  - name\n", 2, ""),
        ("rules:\n  - name: a\n    kind: errors\n    kind: spend\n", 4, "kind is there twice"),
        ("notify:\n  group_interval: 5h\n", 1, "repeat_interval must not be shorter"),
        ("rules:\n  - name: A b\n    kind: errors\n", 2, "match pattern"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load_rules(written(tmp_path, text))
    assert f"{tmp_path / 'team.yaml'}:{line}:" in str(caught.value)
    assert words in str(caught.value)


def test_one_name_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    written(tmp_path, "rules:\n  - {name: mine, kind: losses}\n", "a.yaml")
    written(tmp_path, "rules:\n  - {name: mine, kind: lag}\n", "b.yml")
    with pytest.raises(DocumentError, match=r"b\.yml:2: the rule mine is defined in .*a\.yaml:2 already"):
        load_rules(tmp_path)


def test_destinations_beside_the_rules_are_not_rules(tmp_path: Path) -> None:
    written(tmp_path, "destinations: []\n", "destinations.yaml")
    assert load_rules(tmp_path).rules == load_rules().rules


def test_a_directory_that_is_none_is_refused_and_none_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no directory of rules"):
        load_rules(tmp_path / "nowhere")
    assert rules_directory(None, {}) is None
    assert rules_directory(None, {"PROMPTSPAN_ALERT_RULES": "/x"}) == Path("/x")
    assert rules_directory(tmp_path, {"PROMPTSPAN_ALERT_RULES": "/x"}) == tmp_path


@pytest.mark.parametrize(
    ("length", "text"),
    [(timedelta(0), "0s"), (timedelta(seconds=90), "1m30s"), (timedelta(days=3, hours=6), "3d6h")],
)
def test_durations_are_written_as_they_are_read(length: timedelta, text: str) -> None:
    assert said(length) == text


def test_a_changed_file_is_taken_up_and_a_wrong_one_keeps_the_rules_before_it(tmp_path: Path) -> None:
    files = RuleFiles(written(tmp_path, "rules: [{name: errors, kind: errors, objective: 0.9}]"))
    first = files.book
    assert not files.look()
    assert files.book is first

    written(tmp_path, "rules: [{name: errors, kind: errors, objective: 90}]")
    assert files.look()
    assert files.book is first
    assert "team.yaml:1: " in files.wrong
    assert not files.look()  # said once
    assert files.wrong

    written(tmp_path, "rules: [{name: errors, kind: errors, objective: 0.8}]")
    assert files.look()
    assert files.wrong == ""
    rule = files.book.rules["errors"]
    assert isinstance(rule, ErrorRule)
    assert rule.objective == 0.8

    (tmp_path / "team.yaml").unlink()
    assert files.look()
    assert files.book == load_rules()


def test_a_directory_that_is_gone_keeps_the_rules(tmp_path: Path) -> None:
    files = RuleFiles(written(tmp_path, "rules: [{name: mine, kind: errors}]"))
    (tmp_path / "team.yaml").unlink()
    tmp_path.rmdir()
    assert files.look()
    assert "mine" in files.book.rules
    assert "no directory of rules" in files.wrong


def test_a_field_that_there_is_not_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    file = tmp_path / "team.yaml"
    file.write_text(
        "rules:\n  - {name: a, kind: errors, objectve: 0.9}\n  - {name: b, kind: errors, zzz: 1}\n"
    )
    with pytest.raises(DocumentError) as told:
        load_rules(tmp_path)
    first, second = str(told.value).splitlines()
    assert first.endswith("team.yaml:2: rules.0.errors.objectve: there is no such field; objective is one")
    assert second.endswith("team.yaml:3: rules.1.errors.zzz: there is no such field")
