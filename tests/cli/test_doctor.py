from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from .conftest import LocalStore

    Run = Callable[..., subprocess.CompletedProcess[str]]

PRICED = {
    "gen_ai__operation__name": "chat",
    "gen_ai__provider__name": "openai",
    "gen_ai__request__model": "gpt-4o-mini",
    "gen_ai__usage__input_tokens": 10,
    "gen_ai__usage__output_tokens": 10,
}


def diagnose(run: Run, store: LocalStore, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = run("doctor", store.reader, store.endpoint, store.grpc_endpoint, "--format=json", *more)
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["ok"] is (result.returncode == 0)
    return result.returncode, {check["check"]: check for check in report["checks"]}


def test_a_store_with_fresh_calls_is_well(inside: Run, own_store: LocalStore) -> None:
    own_store.send(**PRICED)
    code, checks = diagnose(inside, own_store, "--send")
    assert {name: check["status"] for name, check in checks.items()} == {
        "promptspan": "OK",
        "ClickHouse HTTP": "OK",
        "clock": "OK",
        "OTLP/HTTP": "OK",
        "OTLP/gRPC": "OK",
        "dashboard": "SKIP",
        "migrations": "OK",
        "data": "OK",
        "prices": "OK",
        "SDK losses": "OK",
        "quarantine": "OK",
        "disk": "OK",
        "kept": "OK",
        "spool": "OK",
        "test span": "OK",
    }
    assert code == 0
    assert checks["data"]["detail"].startswith("1 model calls in the last hour")


def test_an_empty_store_is_a_finding_that_says_what_to_do(inside: Run, empty_store: LocalStore) -> None:
    code, checks = diagnose(inside, empty_store)
    assert code == 1
    assert checks["data"]["status"] == "WARN"
    assert "no model call has arrived yet" in checks["data"]["detail"]
    assert "endpoint" in checks["data"]["remedy"]


def test_the_test_span_is_no_model_call_and_costs_nothing(inside: Run, own_store: LocalStore) -> None:
    code, checks = diagnose(inside, own_store, "--send")
    assert (code, checks["test span"]["status"]) == (1, "OK")
    asked = inside(
        "query",
        own_store.reader,
        "SELECT count() AS n, countIf(billable) AS bill FROM llm_calls",
        "--format=csv",
    )
    assert asked.stdout == "n,bill\n1,0\n"


def test_a_model_without_a_price_is_named_with_its_calls(inside: Run, own_store: LocalStore) -> None:
    for _ in range(2):
        own_store.send(**{**PRICED, "gen_ai__request__model": "house-blend-9"})
    code, checks = diagnose(inside, own_store)
    assert (code, checks["prices"]["status"]) == (1, "WARN")
    assert "openai/house-blend-9 (2)" in checks["prices"]["detail"]


def test_a_store_that_is_not_migrated_is_told_how(inside: Run, empty_store: LocalStore) -> None:
    made = inside("query", empty_store.writer, "CREATE DATABASE bare ENGINE = Atomic")
    assert made.returncode == 0, made.stderr
    result = inside("doctor", empty_store.database("reader", "bare"), "--format=json")
    assert result.returncode == 1, result.stdout
    checks = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["migrations"]["status"] == "FAIL"
    assert "promptspan migrate" in checks["migrations"]["remedy"]


def test_a_report_for_people_has_a_line_a_check_and_how_to_mend_it(
    inside: Run, empty_store: LocalStore
) -> None:
    result = inside("doctor", empty_store.reader, empty_store.endpoint, empty_store.grpc_endpoint)
    assert result.returncode == 1
    assert "WARN  data" in result.stdout
    assert "1 to mend." in result.stdout
    assert "\x1b" not in result.stdout


def test_what_cannot_be_reached_is_said_and_the_rest_is_looked_at(
    inside: Run, empty_store: LocalStore
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    code, checks = diagnose(inside, empty_store, f"--endpoint={nobody}", f"--grpc-endpoint={nobody}")
    assert code == 2
    assert checks["OTLP/HTTP"]["status"] == checks["OTLP/gRPC"]["status"] == "FAIL"
    assert checks["ClickHouse HTTP"]["status"] == "OK"


def test_an_unreachable_store_is_exit_code_two_with_a_remedy(inside: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = inside("doctor", f"--dsn=http://reader@127.0.0.1:{port}/default")
    assert result.returncode == 2
    assert "FAIL  ClickHouse HTTP" in result.stdout
    assert "promptspan up" in result.stdout


def test_another_program_on_the_port_is_not_taken_for_a_store(inside: Run, empty_store: LocalStore) -> None:
    otlp = empty_store.ready["otlp_port"]
    result = inside(
        "doctor", f"--dsn=http://reader@127.0.0.1:{otlp}/default", f"--endpoint=http://127.0.0.1:{otlp}"
    )
    assert result.returncode == 2
    assert "FAIL  ClickHouse HTTP" in result.stdout
