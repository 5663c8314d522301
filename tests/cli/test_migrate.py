from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from .conftest import LocalStore

    Run = Callable[..., subprocess.CompletedProcess[str]]


def test_up_has_migrated_and_migrating_again_changes_nothing(inside: Run, local_store: LocalStore) -> None:
    first, second = (inside("migrate", local_store.writer) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    lines = first.stdout.splitlines()
    assert lines[0].startswith("0001_")
    assert all("already there" in line for line in lines)
    assert "prices" in lines[-1]


def test_an_empty_database_gets_everything_once(inside: Run, local_store: LocalStore) -> None:
    # A database of its own stands for a ClickHouse server that has never seen promptspan.
    made = inside("query", local_store.writer, "CREATE DATABASE fresh ENGINE = Atomic")
    assert made.returncode == 0, made.stderr
    dsn = local_store.database("default", "fresh")
    rehearsal = inside("migrate", dsn, "--dry-run")
    assert rehearsal.returncode == 0, rehearsal.stderr
    assert "would be applied" in rehearsal.stdout
    again = inside("migrate", dsn, "--dry-run")
    assert again.stdout == rehearsal.stdout, "a rehearsal changes nothing"
    done = inside("migrate", dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0001_landing  applied" in done.stdout
    assert "prices  loaded" in done.stdout
    counted = inside("query", dsn, "SELECT count() AS n FROM llm_costs", "--format=csv")
    assert counted.stdout == "n\n0\n"
    assert "applied" not in inside("migrate", dsn).stdout


def test_a_reader_cannot_migrate_and_is_told_why(inside: Run, local_store: LocalStore) -> None:
    made = inside("query", local_store.writer, "CREATE DATABASE bare ENGINE = Atomic")
    assert made.returncode == 0, made.stderr
    result = inside("migrate", local_store.database("reader", "bare"))
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "this user may only read" in result.stderr


def test_syncing_prices_again_changes_nothing(inside: Run, local_store: LocalStore) -> None:
    result = inside("prices", "sync", local_store.writer)
    assert (result.returncode, result.stderr) == (0, "")
    assert "was in force already" in result.stdout


def test_prices_are_listed_and_shown_with_their_dates(inside: Run, local_store: LocalStore) -> None:
    listed = inside("prices", "list", "gpt-4o-mini", "--format=csv", local_store.reader)
    assert listed.returncode == 0, listed.stderr
    assert any(line.startswith("openai/gpt-4o-mini,") for line in listed.stdout.splitlines())
    shown = inside("prices", "show", "openai/GPT-4o-mini", "--format=csv", local_store.reader)
    assert "0.15" in shown.stdout
    missing = inside("prices", "show", "gpt-99", local_store.reader)
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)
    assert "no model gpt-99" in missing.stderr


def test_for_a_cluster_a_rehearsal_prints_the_sql(inside: Run, local_store: LocalStore) -> None:
    done = inside("migrate", local_store.writer, "--cluster=many", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "CREATE TABLE IF NOT EXISTS llm_calls_local ON CLUSTER `many`" in done.stdout
    assert "Distributed(`many`, `default`, llm_calls_local, cityHash64(trace_id))" in done.stdout


def test_a_store_of_one_server_is_not_made_a_cluster(inside: Run, local_store: LocalStore) -> None:
    done = inside("migrate", local_store.writer, "--cluster=many")
    assert done.returncode == 2
    assert "this store is of one server" in done.stderr
    wrong = inside("migrate", local_store.writer, "--cluster=no name")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "'no name' is no name of a cluster" in wrong.stderr


@pytest.mark.long
def test_times_to_keep_come_from_the_environment(inside: Run, local_store: LocalStore) -> None:
    def migrate(months: str) -> subprocess.CompletedProcess[str]:
        return inside("migrate", local_store.writer, PROMPTSPAN_KEEP_CALLS_MONTHS=months)

    first, second = (migrate("13") for _ in range(2))
    assert "kept  calls: 13 months, was without limit" in first.stdout
    assert "kept" not in second.stdout
    assert "calls 13 months" in inside("doctor", local_store.reader).stdout
    wrong = migrate("for ever")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "no number of months" in wrong.stderr
    assert "kept  calls: without limit" in migrate("0").stdout


def test_forgetting_says_what_it_found(inside: Run, local_store: LocalStore) -> None:
    done = inside("forget", local_store.writer, "--user=nobody", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nobody of that name is in the store" in done.stdout
    both = inside("forget", local_store.writer, "--user=a", "--tenant=b")
    assert (both.returncode, both.stdout) == (2, "")
    assert "--user ID or --tenant NAME" in both.stderr
    reading = inside("forget", local_store.reader, "--user=nobody")
    assert reading.returncode == 0


def test_the_ledger_is_computed_on_demand(inside: Run, local_store: LocalStore) -> None:
    done = inside("ledger", local_store.writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("hours computed\n")
