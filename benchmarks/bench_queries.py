"""Every question of the dashboard over thirty days of calls, at two sizes, and the recompute of an hour.

    .venv/bin/python benchmarks/bench_queries.py                      # the short form: 200,000 beside 20,000
    .venv/bin/python benchmarks/bench_queries.py --calls 10000000     # 10 million beside 1 million

The data is made once for each size, by the engine, under `--data-dir` (2 GB and some minutes for
10 million), and the ledger by our own recompute. A question runs `--runs` times on warm files, without the
engine's cache of conditions; the table shows the median of wall time and of CPU time, all threads together.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
from query_data import DAYS, END, RARE_WORD, Size, build, is_built, note_built

from promptspan_server.analysis.compare import compare
from promptspan_server.analysis.cuped import read_before
from promptspan_server.analysis.reading import read_arms
from promptspan_server.pricing.rollup import recompute
from promptspan_server.queries.arms import ArmsOf
from promptspan_server.queries.call import CallDetail
from promptspan_server.queries.calls import CallSearch
from promptspan_server.queries.choices import Choices
from promptspan_server.queries.freshness import Freshness
from promptspan_server.queries.health import CallsByMinute, Losses, Quarantine, Unpriced
from promptspan_server.queries.hours import hours
from promptspan_server.queries.prompts import Prompts
from promptspan_server.queries.scope import Filter, Scope, TimeRange
from promptspan_server.queries.series import CallsOverTime
from promptspan_server.queries.templates import Templates
from promptspan_server.queries.totals import Totals
from promptspan_server.queries.trace import CallScores, CallText, TraceSpans
from promptspan_server.queries.version_history import FirstCalls
from promptspan_server.queries.versions import Versions
from promptspan_server.store.engine import Engine
from promptspan_server.store.executor import HandleExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from promptspan_server.queries.query import Query

_BAR_MS = 60.0
_BAR_BY_MINUTE_MS = 200.0
_BAR_COMPARE_MS = 300.0
_COMPARE = "compare, 30 d: two versions, and the verdict"
_RATIO_BAR = 1.5
# Live ranges do not end on the hour.
_NOW = END - timedelta(minutes=17)
_ONE_PROMPT = "prompt_name = 'prompt-0'"
_SETTINGS = "use_query_condition_cache = 0, analyzer_inline_views = 1"


@dataclass(frozen=True)
class Question:
    """A question and what it may cost.

    Attributes:
        name: For the table.
        sql: SELECT without settings.
        parameters: Its values.
        bar_ms: Wall time allowed, milliseconds.
        scales: Whether its time is compared with the smaller size, too.
    """

    name: str
    sql: str
    parameters: dict[str, str]
    bar_ms: float = _BAR_MS
    scales: bool = False


@dataclass(frozen=True)
class Measured:
    """Medians of a question, milliseconds."""

    wall_ms: float
    cpu_ms: float


def _ask(name: str, query: Query[Any], **more: Any) -> Question:
    values = {key: str(value) for key, value in query.parameters().items()}
    return Question(name, query.sql(), values, **more)


def _last(length: timedelta, *, until: timedelta = timedelta(0)) -> TimeRange:
    return TimeRange(_NOW - until - length, _NOW - until)


def questions(trace_id: str, span_id: str, response_id: str) -> Iterator[Question]:
    """Yield what the pages ask, page by page, then the questions that the issue names."""
    day, week, month = (_last(timedelta(days=days)) for days in (1, 7, 30))
    one = Filter(prompt="prompt-3")
    busy = Filter(prompt="prompt-0")
    for name, span in (("24 h", day), ("7 d", week), ("30 d", month)):
        scope = Scope(span)
        yield _ask(f"overview, {name}: totals", Totals(scope))
        yield _ask(f"overview, {name}: totals of the {name} before", Totals(Scope(span.previous)))
        yield _ask(f"overview, {name}: over time", CallsOverTime(scope))
        yield _ask(f"overview, {name}: versions", Versions(scope))
        yield _ask(f"filters, {name}", Choices(span))
        yield _ask(f"prompts, {name}", Prompts(scope))
        yield _ask(f"prompt, {name}: versions", Versions(Scope(span, busy)))
        yield _ask(f"prompt, {name}: by version over time", CallsOverTime(Scope(span, busy), by_version=True))
        yield _ask(f"traces, {name}: newest of a prompt", CallSearch(Scope(span, one)))
        yield _ask(f"traces, {name}: newest failed", CallSearch(scope, errors_only=True))
        yield _ask(f"traces, {name}: slowest", CallSearch(scope, order="slowest"))
        yield _ask(f"traces, {name}: dearest", CallSearch(scope, order="dearest"))
    yield _ask("prompts: first calls of all versions", FirstCalls())
    yield _ask("prompt: templates", Templates("prompt-0"))
    yield _ask("trace: call, 30 d", CallDetail(trace_id, span_id, month))
    yield _ask("trace: spans", TraceSpans(trace_id, _last(timedelta(days=14))))
    yield _ask("trace: text", CallText(trace_id, span_id, month))
    yield _ask("trace: scores", CallScores(trace_id, span_id, response_id, month))
    yield _ask("traces, 30 d: by response id", CallSearch(Scope(month), identifier=response_id))
    yield _ask("traces, 30 d: rare word", CallSearch(Scope(month), words=RARE_WORD))
    yield _ask("health: calls by minute", CallsByMinute(_last(timedelta(minutes=30))))
    yield _ask("health: unpriced", Unpriced(day))
    yield _ask("health: losses", Losses(day))
    yield _ask("health: quarantine", Quarantine(day))
    yield _ask("health: newest call", Freshness())
    yield Question(
        "24 h of all prompts by minute",
        """
        SELECT
            toStartOfMinute(ts) AS minute, prompt_name, count(), countIf(status = 'error'),
            quantile(0.95)(duration_ms)
        FROM llm_calls_once
        WHERE billable AND ts >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
            AND ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        GROUP BY minute, prompt_name
        ORDER BY minute, prompt_name
        """,
        {key: str(value) for key, value in day.parameters().items()},
        bar_ms=_BAR_BY_MINUTE_MS,
    )
    for name, (columns, where, keys) in {
        "cost by feature and day": ("sum(cost_usd), sum(calls)", "true", "feature, toDate(hour)"),
        "quantiles by version and hour": ("sumMap(duration_hist)", _ONE_PROMPT, "prompt_version, hour"),
        "error rates by version and day": (
            "sum(errors) / sum(calls)",
            "true",
            "prompt_name, prompt_version, toDate(hour)",
        ),
        "histograms by version": (
            "sumMap(duration_hist), sumMap(ttft_hist)",
            _ONE_PROMPT,
            "prompt_version",
        ),
    }.items():
        sql = f"SELECT {keys}, {columns} FROM {hours()} WHERE {where} GROUP BY {keys} ORDER BY {keys}"
        values = {key: str(value) for key, value in month.parameters().items()}
        yield Question(f"30 d: {name}", sql, values, scales=True)


def _timed(work: Callable[[], object], runs: int) -> Measured:
    walls: list[float] = []
    cpus: list[float] = []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Measured(median(walls) * 1e3, median(cpus) * 1e3)


@dataclass(frozen=True)
class Results:
    """What one size gave.

    Attributes:
        answers: By question.
        hour: One hour's recompute.
        hour_calls: Calls in that hour.
        bytes_a_call: Of `llm_calls`, merged, with its indexes.
        text_ratio: Stored text through raw text, index left out.
        text_index_ratio: The words' index through raw text.
    """

    answers: dict[str, Measured]
    hour: Measured
    hour_calls: int
    bytes_a_call: float
    text_ratio: float
    text_index_ratio: float


class _Tables:
    """Of a `Store` what a comparison asks it, without a network in between."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def table(self, sql: str, parameters: Mapping[str, object]) -> Any:
        with self._engine.handle() as handle:
            handle.query(f"SET {_SETTINGS}")
            bound = {name: str(value) for name, value in parameters.items()}
            data = handle.query(sql, "ArrowStream", bound).data
        stream: Any = cast("Any", pa).ipc.open_stream(data)
        return stream.read_all()

    def ask(self, query: Query[Any]) -> Any:
        bound = {name: str(value) for name, value in query.parameters().items()}
        with self._engine.handle() as handle:
            handle.query(f"SET {_SETTINGS}")
            rows = HandleExecutor(handle).rows(query.sql(), bound)
        return SimpleNamespace(rows=[query.row(row) for row in rows])


def measure(directory: Path, size: Size, runs: int) -> Results:
    """Make the data of a size if it is not there, and ask everything."""
    with Engine.open(directory) as engine, engine.handle() as handle:
        executor = HandleExecutor(handle)
        if not is_built(directory, size):
            began = time.perf_counter()
            print(f"making {size.calls:,} calls, {size.texts:,} with text", flush=True)
            build(executor, size)
            note_built(directory, size)
            print(f"  made in {time.perf_counter() - began:.0f} s", flush=True)
        executor.command(f"SET {_SETTINGS}")
        ((trace_id, span_id, response_id),) = executor.rows(
            "SELECT trace_id, span_id, response_id FROM llm_calls"
            f" WHERE ts >= toDateTime({int(_NOW.timestamp())}, 'UTC') - INTERVAL 2 DAY AND response_id != ''"
            " ORDER BY ts LIMIT 1"
        )
        answers: dict[str, Measured] = {}
        for question in questions(trace_id, span_id, response_id):
            executor.rows(question.sql, question.parameters)
            answers[question.name] = _timed(lambda q=question: executor.rows(q.sql, q.parameters), runs)
        two = ArmsOf(_last(timedelta(days=DAYS)), "prompt-0", "v1", "v2")
        tables: Any = _Tables(engine)

        def compare_two() -> None:
            compare(read_before(tables, two, read_arms(tables, two)))

        compare_two()
        answers[_COMPARE] = _timed(compare_two, runs)
        hour = int((END - timedelta(hours=30)).timestamp())
        spent: list[Measured] = []
        for _ in range(runs):
            # Later than what happened to the hour before, whenever that was.
            ((last,),) = executor.rows("SELECT max(greatest(marked_at, computed_at)) FROM hour_states")
            executor.command(
                "INSERT INTO hour_states (hour, marked_at) SELECT toDateTime({hour:UInt32}, 'UTC'),"
                " {last:DateTime64(6, 'UTC')} + INTERVAL 1 SECOND",
                {"hour": str(hour), "last": f"{last:%Y-%m-%d %H:%M:%S.%f}"},
            )
            now = last + timedelta(seconds=2)
            spent.append(
                _timed(lambda at=now: recompute(executor, now=at, settle_s=0, interval_s=0, max_hours=1), 1)
            )
        ((calls,),) = executor.rows(
            f"SELECT sum(calls) FROM llm_hourly WHERE hour = toDateTime({hour}, 'UTC')"
        )
        bytes_of = dict(
            executor.rows(
                "SELECT table, sum(bytes_on_disk) FROM system.parts"
                " WHERE active AND database = currentDatabase() GROUP BY table"
            )
        )
        ((rows,),) = executor.rows("SELECT count() FROM llm_calls")
        ((raw,),) = executor.rows("SELECT sum(length(input_text) + length(output_text)) FROM llm_texts")
        ((index,),) = executor.rows(
            "SELECT sum(data_compressed_bytes) FROM system.data_skipping_indices"
            " WHERE table = 'llm_texts' AND database = currentDatabase()"
        )
        return Results(
            answers,
            Measured(median(s.wall_ms for s in spent), median(s.cpu_ms for s in spent)),
            calls,
            bytes_of["llm_calls"] / rows,
            (bytes_of["llm_texts"] - index) / raw,
            index / raw,
        )


def _mark(ok: bool) -> str:
    return "yes" if ok else "NO"


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument(
        "--smaller", type=int, default=0, help="the size to compare with; a tenth if left out"
    )
    parser.add_argument("--data-dir", type=Path, default=Path("/tmp/promptspan-bench"))
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    sizes = [Size(calls, calls // 30) for calls in (given.smaller or given.calls // 10, given.calls)]
    load = os.getloadavg()[0]
    small, large = (measure(given.data_dir / f"{size.calls}", size, given.runs) for size in sizes)
    named = {q.name: q for q in questions("", "", "")}
    print(
        f"{given.calls:,} calls over {DAYS} days beside {sizes[0].calls:,};"
        f" load {load:.1f} on {os.cpu_count()} cores"
    )
    print(f"{'question':44}{'wall ms':>9}{'CPU ms':>9}{'x small':>9}  within the bar (wall, CPU)")
    bars = {name: each.bar_ms for name, each in named.items()} | {_COMPARE: _BAR_COMPARE_MS}
    for name, answer in large.answers.items():
        ratio = answer.cpu_ms / small.answers[name].cpu_ms
        bar = bars[name]
        verdict = f"{bar:.0f} ms: {_mark(answer.wall_ms <= bar)}, {_mark(answer.cpu_ms <= bar)}"
        if name in named and named[name].scales:
            verdict += f"; {_RATIO_BAR} x: {_mark(ratio <= _RATIO_BAR)}"
        print(f"{name:44}{answer.wall_ms:9.0f}{answer.cpu_ms:9.0f}{ratio:9.2f}  {verdict}")
    over = [name for name, answer in large.answers.items() if answer.cpu_ms > bars[name]]
    print(f"{len(large.answers) - len(over)} of {len(large.answers)} questions within their bars by CPU time")
    allowed = 50 + large.hour_calls / 1000
    print(
        f"one dirty hour of {large.hour_calls:,} calls: {large.hour.wall_ms:.0f} ms,"
        f" CPU {large.hour.cpu_ms:.0f} ms"
        f" (bar {allowed:.0f} ms: {_mark(large.hour.cpu_ms <= allowed)})"
    )
    print(f"bytes a call, merged: {large.bytes_a_call:.1f} (bar 80: {_mark(large.bytes_a_call <= 80)})")
    print(
        f"text, of its raw size: {large.text_ratio:.2f} (bar 0.33: {_mark(large.text_ratio <= 0.33)}),"
        f" its index {large.text_index_ratio:.2f}"
    )


if __name__ == "__main__":
    main()
