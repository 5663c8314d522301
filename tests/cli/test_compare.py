from __future__ import annotations

import json
import math
import random
import re
import subprocess
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import clickhouse_connect
import pytest

from promptspan_server.analysis.wording import sentence
from promptspan_server.cli import _run  # pyright: ignore[reportPrivateUsage]
from promptspan_server.cli.comparing import as_object, compared, located, question
from promptspan_server.queries.connection import Store, parse_dsn
from promptspan_server.queries.scope import TimeRange
from replay.llmdrift import load_llmdrift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import LocalStore

    Run = Callable[..., subprocess.CompletedProcess[str]]

HOUR = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
REFUSES = re.compile(r"sorry|cannot|can't|unable|not appropriate|as an ai", re.IGNORECASE)


class Calls:
    """Calls of one prompt, in the store as they would be after a day of traffic."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._rng = random.Random(5)

    def insert(self, rows: list[dict[str, Any]]) -> None:
        start = datetime.now(timezone.utc) - timedelta(hours=20)
        body = "\n".join(
            json.dumps(
                {
                    "ts": (start + timedelta(hours=self._rng.random() * 12)).strftime("%Y-%m-%d %H:%M:%S.%f"),
                    "trace_id": f"{self._rng.getrandbits(128):032x}",
                    "span_id": f"{self._rng.getrandbits(64):016x}",
                    "service": "tests",
                    "operation": "chat",
                    "provider": "openai",
                    "request_model": "gpt-4o-mini",
                    "response_model": "gpt-4o-mini",
                    "usage_source": "provider",
                    "input_tokens": 400,
                    "billable": True,
                    "status": "ok",
                    "attempt": 1,
                    **row,
                }
            )
            for row in rows
        )
        self._client.raw_insert("llm_calls", insert_block=body.encode(), fmt="JSONEachRow")

    def score(self, prompt: str, name: str, means: dict[str, float]) -> None:
        self._client.command(
            "INSERT INTO scores (ts, trace_id, span_id, service, name, value, source_id)"
            " SELECT ts, trace_id, span_id, service, {name:String},"
            " transform(prompt_version, {versions:Array(String)}, {means:Array(Float64)}, 0.)"
            " + (cityHash64(span_id) % 1000 / 1000 - 0.5) / 2, span_id"
            " FROM llm_calls WHERE prompt_name = {prompt:String}"
            " AND prompt_version IN {versions:Array(String)}"
            # Of every hour, as the store's own order may give each version hours of its own.
            " ORDER BY cityHash64(span_id) LIMIT 400 BY prompt_version",
            parameters={
                "name": name,
                "prompt": prompt,
                "versions": list(means),
                "means": list(means.values()),
            },
        )

    def statuses(self, trace_ids: list[str]) -> dict[str, str]:
        found = self._client.query(
            "SELECT trace_id, status FROM llm_calls WHERE trace_id IN {ids:Array(String)}",
            parameters={"ids": trace_ids},
        )
        return dict(found.result_rows)

    def plain(
        self,
        prompt: str,
        version: str,
        n: int,
        *,
        slower: float = 1.0,
        wrong: float = 0.0,
        feature: str | None = None,
        service_tier: str = "",
    ) -> None:
        self.insert(
            [
                {
                    "prompt_name": prompt,
                    "prompt_version": version,
                    "duration_ms": math.exp(self._rng.gauss(6.7, 0.6)) * slower,
                    "output_tokens": round(math.exp(self._rng.gauss(5, 0.8))),
                    "status": "error" if self._rng.random() < wrong else "ok",
                    "user_id": f"user-{self._rng.randrange(300)}",
                    "feature": feature or ("inbox" if self._rng.random() < 0.5 else "search"),
                    "service_tier": service_tier,
                }
                for _ in range(n)
            ]
        )

    def of_users(self, prompt: str, *, before: bool) -> None:
        """Sixty users with habits, the busiest with most calls; half are given version 2, which is slower."""
        rng = random.Random(11)
        tastes = [rng.gauss(0, 0.6) for _ in range(60)]
        busy = [rng.paretovariate(1.3) for _ in range(60)]
        now = HOUR  # each call in the same hour for every prompt

        def row(since: timedelta, until: timedelta, *, rollout: bool) -> dict[str, Any]:
            user = rng.choices(range(60), busy)[0]
            version = "2" if rollout and user % 2 else "1"
            ts = now - until - rng.random() * (since - until)
            return {
                "ts": ts.strftime("%Y-%m-%d %H:%M:%S.%f"),
                "prompt_name": prompt,
                "prompt_version": version,
                "duration_ms": 800
                * math.exp(tastes[user] + rng.gauss(0, 0.4))
                * (1.3 if version == "2" else 1),
                "user_id": f"{prompt}-user-{user}",
                "output_tokens": 100,
            }

        earlier = [row(timedelta(days=12), timedelta(days=2), rollout=False) for _ in range(6000)]
        rows = [row(timedelta(hours=20), timedelta(hours=8), rollout=True) for _ in range(3000)]
        self.insert(earlier + rows if before else rows)


@pytest.fixture
def promptspan(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, which has loaded what it needs."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = _run(arguments)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def calls(local_store: LocalStore) -> Iterator[Calls]:
    driver: Any = clickhouse_connect
    client = driver.get_client(
        host="127.0.0.1", port=local_store.ready["clickhouse_port"], username="default"
    )
    yield Calls(client)
    client.close()


@pytest.fixture(scope="module")
def rollout(calls: Calls) -> str:
    """Version 7 is slower than 6 and fails more; version 8 is as 6 is, and 9 has hardly been called."""
    calls.plain("rollout", "6", 3000, wrong=0.01)
    calls.plain("rollout", "7", 3000, slower=1.3, wrong=0.09)
    calls.plain("rollout", "8", 3000, wrong=0.01)
    calls.plain("rollout", "9", 20)
    return "rollout"


def _by_metric(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {each["metric"]: each for each in json.loads(result.stdout)["metrics"]}


def test_compare_says_what_is_worse(promptspan: Run, local_store: LocalStore, rollout: str) -> None:
    result = promptspan("compare", rollout, "--a=6", "--b=7", "--format=json", local_store.reader)
    assert (result.returncode, result.stderr) == (1, "")
    answer = json.loads(result.stdout)
    assert (answer["verdict"], answer["calls_a"], answer["calls_b"]) == ("regressed", 3000, 3000)
    metrics = _by_metric(result)
    latency, errors = metrics["latency_p95"], metrics["error_rate"]
    assert latency["verdict"] == errors["verdict"] == "regressed"
    assert 1 < latency["low"] < 1.3 < latency["high"]
    assert latency["p"] < 0.01
    assert errors["a"] == pytest.approx(0.01, abs=0.006)
    assert errors["b"] == pytest.approx(0.09, abs=0.02)
    assert metrics["output_tokens"]["verdict"] in ("undecided", "not worse")


def test_scores_are_compared_where_there_are_any(
    promptspan: Run, local_store: LocalStore, calls: Calls, rollout: str
) -> None:
    calls.score(rollout, "helpful", {"6": 0.8, "8": 0.6})
    result = promptspan("compare", rollout, "--a=6", "--b=8", "--format=json", local_store.reader)
    score = _by_metric(result)["score:helpful"]
    assert (score["verdict"], score["interval_of"]) == ("regressed", "delta")
    assert score["low"] < -0.2 < score["high"] < 0


def test_compare_says_where_a_difference_is_and_shows_calls(
    promptspan: Run, local_store: LocalStore, calls: Calls
) -> None:
    for version, wrong in (("1", 0.01), ("2", 0.15)):
        for feature in ("search", "inbox", "it's \\ {odd:String}"):
            calls.plain(
                "placed", version, 1200, wrong=wrong if feature.startswith("it's") else 0.01, feature=feature
            )
    result = promptspan("compare", "placed", "--a=1", "--b=2", "--format=json", local_store.reader)
    answer = json.loads(result.stdout)
    assert "of it in feature it's \\ {odd:String}" in answer["sentence"]
    where = answer["where"][0]
    assert where["adjusted"]["within"] == ["feature"]
    assert where["adjusted"]["low"] > 1
    assert where["metric"] == "error_rate"
    assert where["segments"][0]["predicates"] == {"feature": "it's \\ {odd:String}"}
    assert where["segments"][0]["share"] == pytest.approx(1, abs=0.2)
    traces = where["traces"]
    assert (len(traces["telling"]), len(traces["usual"])) == (5, 5)
    failed = calls.statuses([*traces["telling"], *traces["usual"]])
    assert failed == {**dict.fromkeys(traces["telling"], "error"), **dict.fromkeys(traces["usual"], "ok")}


def test_where_it_is_is_said_to_be_unknown_if_the_store_refuses(
    local_store: LocalStore, rollout: str
) -> None:
    now = datetime.now(timezone.utc)
    when = TimeRange(now - timedelta(days=1), now)
    port = local_store.ready["clickhouse_port"]
    with closing(Store(parse_dsn(f"http://reader@127.0.0.1:{port}/default"))) as store:
        comparison = compared(store, when=when, prompt=rollout, a="6", b="7")
    # A database without our tables refuses every question.
    with closing(Store(parse_dsn(f"http://reader@127.0.0.1:{port}/information_schema"))) as elsewhere:
        places = located(elsewhere, question(when, rollout, "6", "7", None), comparison)
    assert places
    assert all(place.said[0].startswith("Where it is could not be asked: ") for place in places)
    assert sentence(comparison, a="6", b="7", places=places).startswith("7 is ")
    told = as_object(comparison, prompt=rollout, a="6", b="7", when=when, places=places)
    assert told["where"][0]["segments"] == []


def test_compare_is_read_by_people_too(promptspan: Run, local_store: LocalStore, rollout: str) -> None:
    result = promptspan("compare", rollout, "--a=6", "--b=7", local_store.reader)
    assert result.stdout.splitlines()[0].startswith("7 is ")
    assert "Where error rate differs: No segment stands out" in result.stdout
    assert "latency_p95" in result.stdout
    narrowed = promptspan(
        "compare", rollout, "--a=6", "--b=7", "--feature=search", "--format=json", local_store.reader
    )
    assert 1200 < json.loads(narrowed.stdout)["calls_a"] < 1800


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--a=6", "--b=6"), "two versions are compared"),
        (("--a=6", "--b=66"), "no call of rollout version 66"),
        (("--a=6", "--b=7", "--from=yesterday"), "is no time"),
        (("--a=6", "--b=7", "--from=1h", "--to=2h"), "ends after it starts"),
        (("--a=6", "--b=7", "--share=7"), "between 0 and 1"),
    ],
)
def test_a_question_that_makes_no_sense_gets_one_line(
    promptspan: Run, local_store: LocalStore, rollout: str, options: tuple[str, ...], said: str
) -> None:
    result = promptspan("compare", rollout, *options, local_store.reader)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr


@pytest.mark.parametrize(("candidate", "code"), [("7", 1), ("8", 0), ("9", 3)])
def test_check_answers_a_pipeline_by_its_exit_code(
    promptspan: Run, local_store: LocalStore, tmp_path: Path, *, rollout: str, candidate: str, code: int
) -> None:
    guardrails = tmp_path / "guardrails.yaml"
    guardrails.write_text(
        "guardrails:\n"
        "  - {metric: latency, max_increase_pct: 15}\n"
        "  - {metric: error_rate, max_increase: 0.03}\n"
    )
    junit, markdown = tmp_path / "check.xml", tmp_path / "check.md"
    result = promptspan(
        *("check", rollout, f"--candidate={candidate}", "--baseline=6", f"--guardrails={guardrails}"),
        *(f"--junit={junit}", f"--markdown={markdown}", local_store.reader),
    )
    assert result.returncode == code, result.stdout + result.stderr
    suite = ET.fromstring(junit.read_text())
    assert suite.get("tests") == "2"
    assert int(suite.get("failures", "")) == (2 if code == 1 else 0)
    assert int(suite.get("skipped", "")) == (2 if code == 3 else 0)
    assert markdown.read_text().startswith("### ")


def test_check_waits_for_a_rollout_that_has_not_begun(
    promptspan: Run, local_store: LocalStore, rollout: str
) -> None:
    result = promptspan("check", rollout, "--candidate=10", "--baseline=6", "--wait=2s", local_store.reader)
    assert result.returncode == 2
    assert "looking again" in result.stderr
    assert "no call of rollout version 10" in result.stderr


def test_the_changes_of_the_study_are_found(
    promptspan: Run, local_store: LocalStore, calls: Calls, shared_data: Path
) -> None:
    """What is known of two versions of two models (Chen, Zaharia & Zou 2023), called at the same time."""
    for dataset in ("leetcode_easy", "sensitiveq", "countahappynumber"):
        calls.insert(
            [
                {
                    "prompt_name": f"{dataset} {each.request_model.rpartition('-')[0]}",
                    "prompt_version": each.request_model.rpartition("-")[2],
                    "duration_ms": each.latency_ms,
                    "output_tokens": each.usage.output_tokens,
                    "safety_flags": ["refusal"]
                    if dataset == "sensitiveq" and REFUSES.search(each.answer)
                    else [],
                }
                for each in load_llmdrift(shared_data, dataset)
            ]
        )
    known = [
        ("leetcode_easy gpt-4", "0314", "latency", "regressed"),
        ("leetcode_easy gpt-4", "0314", "output_tokens", "undecided"),
        ("sensitiveq gpt-4", "0314", "refusal_rate", "regressed"),
        ("countahappynumber gpt-4", "0314", "latency", "improved"),
        ("countahappynumber gpt-4", "0314", "output_tokens", "improved"),
        ("countahappynumber gpt-3.5-turbo", "0301", "output_tokens", "regressed"),
    ]
    answers = {
        (prompt, a): _by_metric(
            promptspan("compare", prompt, f"--a={a}", "--b=0613", "--format=json", local_store.reader)
        )
        for prompt, a in {(prompt, a) for prompt, a, _, _ in known}
    }
    found = [(prompt, a, metric, answers[prompt, a][metric]["verdict"]) for prompt, a, metric, _ in known]
    assert found == known


def test_failures_that_name_no_answering_model_are_not_other_traffic(
    promptspan: Run, local_store: LocalStore, calls: Calls
) -> None:
    for version, failed in (("1", 12), ("2", 120)):
        calls.plain("unanswered", version, 2000, feature="inbox", service_tier="default")
        calls.insert(
            [
                {
                    "prompt_name": "unanswered",
                    "prompt_version": version,
                    "status": "error",
                    "response_model": "",
                    "feature": "inbox",
                    "user_id": f"user-{number % 300}",
                }
                for number in range(failed)
            ]
        )
    result = promptspan("compare", "unanswered", "--a=1", "--b=2", "--format=json", local_store.reader)
    (place,) = json.loads(result.stdout)["where"]
    assert place["metric"] == "error_rate"
    assert abs(place["mix"]) < 0.1 * place["within"]
    assert not any("other traffic" in each for each in place["sentences"])


def test_what_users_had_before_is_taken_off(promptspan: Run, local_store: LocalStore, calls: Calls) -> None:
    found: dict[str, Any] = {}
    for prompt, before in (("strangers", False), ("regulars", True)):
        calls.of_users(prompt, before=before)
        result = promptspan(
            "compare",
            prompt,
            "--a=1",
            "--b=2",
            "--from=1d",
            "--format=json",
            "--no-where",
            local_store.reader,
        )
        found[prompt] = _by_metric(result)["latency"]
    strangers, regulars = found["strangers"], found["regulars"]
    assert (strangers["adjusted"], regulars["adjusted"]) == (None, "cuped")
    # The same calls: what they took is the same, and only what is known of the users tells the arms apart.
    assert (strangers["a"], strangers["b"]) == pytest.approx((regulars["a"], regulars["b"]))
    assert (strangers["verdict"], regulars["verdict"]) == ("undecided", "regressed")
    assert regulars["low"] < 1.3 < regulars["high"]
    widths = [math.log(each["high"] / each["low"]) for each in (regulars, strangers)]
    assert widths[0] < 0.4 * widths[1]
    table = promptspan("compare", "regulars", "--a=1", "--b=2", "--from=1d", "--no-where", local_store.reader)
    assert "less what its users had before" in table.stdout


def test_what_users_had_of_the_new_version_is_not_taken_off(
    promptspan: Run, local_store: LocalStore, calls: Calls
) -> None:
    """A range that begins in the middle of the rollout: the hours before it are part of what is compared."""
    calls.of_users("midway", before=False)
    result = promptspan(
        "compare", "midway", "--a=1", "--b=2", "--from=12h", "--format=json", "--no-where", local_store.reader
    )
    assert _by_metric(result)["latency"]["adjusted"] is None
