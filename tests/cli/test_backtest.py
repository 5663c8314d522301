"""`promptspan alerts backtest` on a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from .conftest import LocalStore

    Run = Callable[..., subprocess.CompletedProcess[str]]


def test_rules_that_cannot_be_replayed_are_named_with_the_reason(
    inside: Run, empty_store: LocalStore
) -> None:
    result = inside("alerts", "backtest", empty_store.reader, "--from=1h")
    assert result.returncode == 0
    told = result.stderr.splitlines()
    assert [line.partition(" ")[0] for line in told] == ["blind", "ingest-lag", "lost-spans"]
    assert all("cannot be replayed: " in line for line in told)
    assert "errors: would not have fired from " in result.stdout
    alone = inside("alerts", "backtest", "ingest-lag", empty_store.reader, "--from=1h")
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "keeps only the latest report" in alone.stderr
