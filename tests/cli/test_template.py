from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from promptspan import Prompt
from promptspan_server.cli.app import invoke
from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import LocalStore

NOW = datetime.now(timezone.utc)
TEXT = "Summarise in two sentences.\n\nKeep: numbers, {names}."


@pytest.fixture(scope="module")
def stored(local_store: LocalStore) -> str:
    from promptspan_server.queries.connection import connect, parse_dsn

    client: Any = connect(parse_dsn(local_store.writer.removeprefix("--dsn=")))
    columns = [
        "prompt_name",
        "prompt_version",
        "template_hash",
        "template",
        "owner",
        "first_seen",
        "last_seen",
    ]
    rows = [
        ["way-back", version, version * 64, text, "ana", NOW - timedelta(days=age), NOW - timedelta(days=age)]
        for version, text, age in (("6", TEXT, 3), ("7", "Be brief.", 1))
    ]
    client.insert("prompt_templates", rows, column_names=columns)
    client.close()
    return "way-back"


def test_a_template_is_printed_as_the_file_that_it_came_from(
    stored: str, local_store: LocalStore, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert invoke(["template", stored, "6", local_store.reader]) == 0
    file = tmp_path / "prompt.md"
    file.write_text(capsys.readouterr().out)
    prompt = Prompt.from_file(file)
    assert (prompt.name, prompt.version, prompt.owner) == ("way-back", "6", "ana")
    assert prompt.template.strip() == TEXT


def test_without_a_version_it_is_the_newest(
    stored: str, local_store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["template", stored, local_store.reader]) == 0
    assert "Be brief." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("way-back", "9"), "way-back has no version 9; there are 7, 6"),
        (("nobody",), "the store has no template of nobody"),
    ],
)
@pytest.mark.usefixtures("stored")
def test_what_is_not_there_is_said(local_store: LocalStore, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)) as caught:
        invoke(["template", *names, local_store.reader])
    assert caught.value.exit_code == 1
