from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from .conftest import LocalStore

    Run = Callable[..., subprocess.CompletedProcess[str]]


def post(store: LocalStore, body: bytes, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{store.ready['otlp_endpoint']}/v1/markers",
        data=body,
        headers={"content-type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_markers_come_by_command_and_by_http_and_are_shown(inside: Run, local_store: LocalStore) -> None:
    dsn = local_store.writer
    written = inside(
        "mark",
        dsn,
        "inbox-summary 7",
        "--kind=deploy",
        "--prompt=inbox-summary",
        "--version=7",
        "--author=ci",
    )
    assert written.returncode == 0, written.stderr
    body = json.dumps(
        {"text": "inbox-summary 8", "kind": "deploy", "prompt_name": "inbox-summary", "id": "run-8"}
    )
    for _ in range(2):
        assert post(local_store, body.encode()) == (200, {"id": "run-8"})
    assert post(local_store, b'{"text": "other", "prompt_name": "other"}')[0] == 200

    shown = inside("mark", local_store.reader, "--prompt=inbox-summary", "--format=json")
    rows = json.loads(shown.stdout)
    assert sorted(row["text"] for row in rows) == ["inbox-summary 7", "inbox-summary 8"]
    assert {row["kind"] for row in rows} == {"deploy"}


def test_what_is_no_marker_gets_one_line(inside: Run, local_store: LocalStore) -> None:
    refused = inside("mark", local_store.writer, "x", "--kind=party")
    assert refused.returncode == 2
    assert "deploy, config, note, incident" in refused.stderr
    for body, said in (
        (b"[]", "object"),
        (b"{", "JSON"),
        (b'{"text": ""}', "text is missing"),
        (b"\xff", "JSON"),
    ):
        status, answer = post(local_store, body)
        assert status == 400
        assert said in answer["message"]
    assert post(local_store, b'{"text": "x"}', origin="https://evil.example")[0] == 403
