from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pytest

from promptspan._sketch import sketch_of
from promptspan_server.cli.app import invoke
from promptspan_server.cli.failure import CommandError
from replay.llmdrift import load_llmdrift

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import LocalStore

    Run = Callable[..., subprocess.CompletedProcess[str]]

NOW = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
SINCE = NOW - timedelta(days=23)
BEGIN = NOW - timedelta(hours=50)
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


@pytest.fixture(scope="module")
def client(local_store: LocalStore) -> Iterator[Any]:
    driver: Any = clickhouse_connect
    opened = driver.get_client(
        host="127.0.0.1", port=local_store.ready["clickhouse_port"], username="default"
    )
    yield opened
    opened.close()


def insert(client: Any, rows: list[dict[str, Any]]) -> None:
    rng = random.Random(len(rows))
    always = {
        "service": "tests",
        "operation": "chat",
        "provider": "openai",
        "usage_source": "provider",
        "billable": True,
        "status": "ok",
        "attempt": 1,
    }
    for day in {row["ts"].date() for row in rows}:
        body = "\n".join(
            json.dumps(
                always
                | {"trace_id": f"{rng.getrandbits(128):032x}", "span_id": f"{rng.getrandbits(64):016x}"}
                | row
                | {"ts": f"{row['ts']:%Y-%m-%d %H:%M:%S.%f}"}
            )
            for row in rows
            if row["ts"].date() == day
        )
        client.raw_insert("llm_calls", insert_block=body.encode(), fmt="JSONEachRow")


@pytest.fixture
def inside(capsys: pytest.CaptureFixture[str], local_store: LocalStore) -> Callable[..., tuple[int, str]]:
    """Run the command in this process, which has loaded what it needs: exit code and output."""

    def run(*arguments: str) -> tuple[int, str]:
        code = invoke(["drift", *arguments, local_store.reader])
        return code, capsys.readouterr().out

    return run


def moments(n: int, start: datetime, end: datetime, seed: int) -> list[datetime]:
    rng = random.Random(seed)
    return sorted(start + (end - start) * rng.random() for _ in range(n))


def sketch(rng: random.Random, others: float) -> int:
    """The sketch of an answer of thirty words; so many of all answers are in words of their own."""
    kind = "other" if rng.random() < others else "usual"
    found = sketch_of(" ".join(f"{rng.randrange(60):x}{kind}".translate(_LETTERS) for _ in range(30)))
    assert found is not None
    return int(found, 16)


@pytest.fixture(scope="module")
def renewed(client: Any) -> str:
    """Another model answers from two days ago on: half as fast, often cut off, and in other words."""
    rng = random.Random(3)
    insert(
        client,
        [
            {
                "ts": ts,
                "prompt_name": "renewed",
                "prompt_version": "7",
                "request_model": "gpt-4o",
                "response_model": "gpt-4o-2024-11-20" if ts >= BEGIN else "gpt-4o-2024-08-06",
                "duration_ms": rng.lognormvariate(6.7, 0.6) * (2 if ts >= BEGIN else 1),
                "input_tokens": 400,
                "output_tokens": round(rng.lognormvariate(5, 0.8)),
                "template_hash": "ab" * 32,
                "finish_reasons": ["length" if rng.random() < (0.4 if ts >= BEGIN else 0.02) else "stop"],
                "output_sketch": sketch(rng, 0.5 if ts >= BEGIN else 0.0),
                "attributes": {"gen_ai.request.temperature": "0.2"},
            }
            for ts in moments(6000, SINCE, NOW, 1)
        ]
        + [
            {
                "ts": ts,
                "prompt_name": "renewed",
                "prompt_version": "8",
                "request_model": "gpt-4o",
                "duration_ms": 900,
            }
            for ts in moments(30, NOW - timedelta(hours=20), NOW, 2)
        ],
    )
    return "renewed"


def test_drift_says_what_since_when_and_that_they_changed_it(
    promptspan: Run, local_store: LocalStore, renewed: str
) -> None:
    result = promptspan("drift", renewed, "--format=json", local_store.reader)
    assert (result.returncode, result.stderr) == (1, "")
    found = {(each["version"], each["signal"]): each for each in json.loads(result.stdout)}
    latency = found["7", "latency"]
    assert latency["verdict"] == "drift"
    assert latency["low"] < 2 < latency["high"]
    assert latency["since_low"] <= BEGIN.isoformat() <= latency["since_high"]
    assert latency["changed"] == ["answering model", "price"] or latency["changed"] == ["answering model"]
    assert "nothing on our side changed, but answering model gpt-4o-2024-08-06" in latency["sentence"]
    assert found["7", "truncated_rate"]["value"] == pytest.approx(0.4, abs=0.05)
    assert found["7", "latency_tail"]["verdict"] == "drift"
    assert found["7", "error_rate"]["verdict"] == found["7", "output_tokens"]["verdict"] == "stable"
    words = found["7", "text"]
    assert words["verdict"] == "drift"
    assert words["since_low"] <= BEGIN.isoformat() <= words["since_high"]
    assert "answers in other words than its own last" in words["sentence"]
    assert found["8", "latency"]["verdict"] == "too little data"
    assert found["8", "latency"]["n"] == 30


def test_drift_is_read_by_people_and_spreadsheets(
    inside: Callable[..., tuple[int, str]], renewed: str
) -> None:
    code, table = inside(renewed)
    assert code == 1
    assert "Version 7 of renewed answers" in table
    assert "too little data" in table
    _, sheet = inside(renewed, "--format=csv")
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert {row["verdict"] for row in rows} == {"drift", "stable", "too little data"}


@pytest.fixture(scope="module")
def failing(client: Any) -> str:
    """One call in five fails since two days ago, when a deployment was marked; the answers are as ever."""
    rng = random.Random(4)
    insert(
        client,
        [
            {
                "ts": ts,
                "prompt_name": "failing",
                "prompt_version": "7",
                "request_model": "gpt-4o",
                "duration_ms": rng.lognormvariate(6.7, 0.6),
                "input_tokens": 400,
            }
            | (
                {"status": "error", "error_type": "timeout"}
                if rng.random() < (0.2 if ts >= BEGIN else 0.01)
                else {"response_model": "gpt-4o-2024-11-20", "finish_reasons": ["stop"], "output_tokens": 90}
            )
            for ts in moments(6000, SINCE, NOW, 9)
        ],
    )
    return "failing"


def test_failures_are_no_drift_of_answers_and_a_marked_deployment_explains_them(
    inside: Callable[..., tuple[int, str]], local_store: LocalStore, failing: str
) -> None:
    at = f"--at={BEGIN:%Y-%m-%dT%H:%M:%SZ}"
    assert invoke(["mark", local_store.writer, "no retry", "--kind=config", "--prompt=failing", at]) == 0
    _, answer = inside(failing, "--format=json")
    found = {each["signal"]: each for each in json.loads(answer[answer.index("[") :])}
    drifting = {signal for signal, each in found.items() if each["verdict"] == "drift"}
    assert drifting == {"error_rate"}
    assert found["error_rate"]["changed"] == ["config"]
    assert "changed on our side at that time: config \u201cno retry\u201d" in found["error_rate"]["sentence"]


def test_before_the_change_nothing_drifts(inside: Callable[..., tuple[int, str]], renewed: str) -> None:
    code, before = inside(renewed, "--to=60h", "--format=json")
    assert code == 0
    assert {each["verdict"] for each in json.loads(before)} == {"stable"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("nobody",), "no call of nobody between"),
        (("renewed", "--false-alarms-per-week=0"), "a number above 0"),
        (("renewed", "--smallest-change=-1"), "a share above 0"),
        (("renewed", "--from=90d"), "at most 31 days"),
        (("renewed", "--from=soon"), "is no time"),
    ],
)
def test_a_wrong_question_gets_one_clear_line(
    inside: Callable[..., tuple[int, str]], options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandError, match=re.escape(said)) as caught:
        inside(*options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.shared_data
def test_recorded_models_and_real_traffic_drift_where_they_did_and_nowhere_else(
    inside: Callable[..., tuple[int, str]], client: Any, shared_data: Path
) -> None:
    """Two versions of a model as two times of one prompt version; one of them alone as an A/A test."""
    rng = random.Random(11)
    rows: list[dict[str, Any]] = []
    for dataset, model in (("countahappynumber", "gpt-4"), ("leetcode_easy", "gpt-4")):
        recordings = load_llmdrift(shared_data, dataset)
        march = [each for each in recordings if each.version == f"{model}-0314"]
        june = [each for each in recordings if each.version == f"{model}-0613"]
        for prompt, later in ((f"drift-{dataset}", june), (f"same-{dataset}", march)):
            times = moments(1500, SINCE, BEGIN, 5) + moments(400, BEGIN, NOW, 6)
            for ts in times:
                one = rng.choice(march if ts < BEGIN else later)
                rows.append(
                    {
                        "ts": ts,
                        "prompt_name": prompt,
                        "prompt_version": "1",
                        "request_model": model,
                        "response_model": one.response_model,
                        "duration_ms": one.latency_ms,
                        "input_tokens": one.usage.input_tokens,
                        "output_tokens": one.usage.output_tokens,
                        "finish_reasons": ["stop"],
                    }
                )
    for name, later in (("traffic-same", "conv"), ("traffic-other", "code")):
        tokens = {kind: _azure(shared_data, kind) for kind in ("conv", "code")}
        for ts in moments(2000, SINCE, BEGIN, 7) + moments(600, BEGIN, NOW, 8):
            read, written = rng.choice(tokens["conv" if ts < BEGIN else later])
            rows.append(
                {
                    "ts": ts,
                    "prompt_name": name,
                    "prompt_version": "1",
                    "request_model": "gpt-4o",
                    "input_tokens": read,
                    "output_tokens": written,
                    "duration_ms": 100 + 20 * written,
                }
            )
    insert(client, rows)
    _, answer = inside("--format=json")
    found: dict[str, dict[str, Any]] = {}
    for each in json.loads(answer):
        if each["verdict"] == "drift":
            found.setdefault(each["prompt"], {})[each["signal"]] = each
    assert not {"same-countahappynumber", "same-leetcode_easy", "traffic-same"} & set(found)
    counted = found["drift-countahappynumber"]
    assert counted["output_tokens"]["ratio"] < 0.1
    assert counted["latency"]["ratio"] < 0.5
    coded = found["drift-leetcode_easy"]
    assert coded["latency"]["ratio"] > 1.5
    for each in (counted["output_tokens"], counted["latency"], coded["latency"]):
        assert "answering model" in each["changed"]
        assert "nothing on our side changed, but" in each["sentence"]
        assert each["since_low"] <= BEGIN.isoformat() <= each["since_high"]
    other = found["traffic-other"]
    assert other["input_tokens"]["ratio"] > 1.3
    assert other["output_tokens"]["ratio"] < 0.5
    assert other["output_tokens"]["changed"] == []


def _azure(shared_data: Path, kind: str) -> list[tuple[int, int]]:
    with gzip.open(shared_data / "azure-llm" / f"{kind}-2023.csv.gz", "rt") as file:
        return [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
