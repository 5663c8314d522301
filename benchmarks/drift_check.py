"""One check of thousands of series over the store's rollups: what reading and judging them costs."""

from __future__ import annotations

import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from promptspan_server.analysis.drift import find_drift
from promptspan_server.analysis.observed import read_observed
from promptspan_server.queries.drift import VersionHours
from promptspan_server.queries.scope import TimeRange
from promptspan_server.store.engine import Engine
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.queries.connection import Store

_END = datetime(2026, 11, 23, tzinfo=timezone.utc)
_DAYS = 35
_ARROW: Any = pa
_FILL = """
INSERT INTO prompt_hour_rows
    (hour, feature, prompt_name, prompt_version, environment, service, request_model, calls, errors, flags,
     models, finish_reasons, input_calls, output_calls, duration_hist, output_tokens_hist, latency_log_sum,
     latency_log_sumsq, input_log_sum, input_log_sumsq, output_log_sum, output_log_sumsq, cost_log_calls,
     cost_log_sum, cost_log_sumsq, sketched, sketch_groups, revision)
SELECT
    toDateTime(toUInt32({begin:UInt32} + 3600 * intDiv(number, {versions:UInt32})), 'UTC') AS hour,
    'inbox', concat('prompt-', toString(number % {versions:UInt32})), 'v1', 'production', 'mail', 'gpt-4o',
    60 + sipHash64(number) % 80 AS n,
    (sipHash64(number, 1) % 100 < 60 AS one) + (sipHash64(number, 2) % 100 < 30) AS errors,
    map('pii', toUInt64(one), 'refusal', toUInt64(sipHash64(number, 3) % 2)),
    map('gpt-4o-a', intDiv(n * 7, 10), 'gpt-4o-b', n - intDiv(n * 7, 10)),
    map('stop', n - 2, 'length', toUInt64(2)),
    n, n,
    CAST((arrayMap(i -> toUInt16(60 + i), range(32)),
        arrayMap(i -> toUInt64(1 + sipHash64(number, i) % 4), range(32))), 'Map(UInt16, UInt64)'),
    CAST((arrayMap(i -> toUInt16(40 + i), range(32)),
        arrayMap(i -> toUInt64(1 + sipHash64(number, i, 9) % 4), range(32))), 'Map(UInt16, UInt64)'),
    n * (6.8 + (sipHash64(number, 4) % 1000 - 500) / 4000 AS level), n * (level * level + 0.36),
    n * level, n * (level * level + 0.36), n * level, n * (level * level + 0.8), n,
    n * (14 + level), n * ((14 + level) * (14 + level) + 0.8),
    n, arrayMap(i -> toUInt32(n * (5 + i % 60 + sipHash64(number, i, 7) % 20) / 100), range(64)), 1
FROM numbers({rows:UInt64})
"""


class _Direct:
    """The store's side of `Store.table`, without the way between processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def table(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        """Answer one question."""
        with self._engine.handle() as handle:
            said = handle.query(sql, "ArrowStream", {name: str(value) for name, value in parameters.items()})
        table = _ARROW.ipc.open_stream(bytes(said.data)).read_all()
        # The engine writes text as bytes unless told otherwise.
        return _ARROW.table({name: _as_text(table.column(name)) for name in table.column_names})


def _as_text(column: Any) -> Any:
    plain = column.cast(column.type.value_type) if _ARROW.types.is_dictionary(column.type) else column
    return plain.cast(_ARROW.string()) if _ARROW.types.is_binary(plain.type) else plain


def measure(versions: int = 313) -> str:
    """Fill a store with rollups, check it three times, and say what the quickest check took."""
    with tempfile.TemporaryDirectory() as directory, Engine.open(Path(directory)) as engine:
        with engine.handle() as handle:
            executor = HandleExecutor(handle)
            migrate(executor)
            begin = int((_END - timedelta(days=_DAYS)).timestamp())
            rows = versions * _DAYS * 24
            executor.command(_FILL, {"begin": str(begin), "versions": str(versions), "rows": str(rows)})
            executor.command("OPTIMIZE TABLE prompt_hour_rows FINAL")
        store = cast("Store", _Direct(engine))
        question = VersionHours(TimeRange(_END - timedelta(days=7), _END))
        best, drift = (float("inf"), 0.0, 0.0), None
        for _ in range(3):
            began, cpu = time.perf_counter(), time.process_time()
            observed = read_observed(store, question)
            read = time.perf_counter() - began
            drift = find_drift(observed)
            wall, used = time.perf_counter() - began, time.process_time() - cpu
            if wall < best[0]:
                best = wall, read, used
        assert drift is not None
        wall, read, used = best
        return (
            f"one check of {drift.series:,} series ({rows:,} rows of hours): {wall:.2f} s, {read:.2f} s of it"
            f" reading; {used:.2f} s of CPU in all; {len(drift.drifting)} drift"
        )


if __name__ == "__main__":
    print(measure())
