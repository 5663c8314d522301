"""The landing tables have the columns that the Collector's ClickHouse exporter inserts: names, types, order.

Source: opentelemetry-collector-contrib v0.161.0, exporter/clickhouseexporter/internal/sqltemplates,
traces_table.sql and logs_table.sql without indices, codecs and materialized columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from schema.conftest import Store

_COLUMNS = (
    "SELECT name, type FROM system.columns "
    "WHERE database = currentDatabase() AND table = '{}' ORDER BY position"
)
_MAP = "Map(LowCardinality(String), String)"
_WORD = "LowCardinality(String)"

_TRACES = [
    ("Timestamp", "DateTime64(9)"),
    ("TraceId", "String"),
    ("SpanId", "String"),
    ("ParentSpanId", "String"),
    ("TraceState", "String"),
    ("SpanName", _WORD),
    ("SpanKind", _WORD),
    ("ServiceName", _WORD),
    ("ResourceAttributes", _MAP),
    ("ScopeName", "String"),
    ("ScopeVersion", "String"),
    ("SpanAttributes", _MAP),
    ("Duration", "UInt64"),
    ("StatusCode", _WORD),
    ("StatusMessage", "String"),
    ("Events.Timestamp", "Array(DateTime64(9))"),
    ("Events.Name", f"Array({_WORD})"),
    ("Events.Attributes", f"Array({_MAP})"),
    ("Links.TraceId", "Array(String)"),
    ("Links.SpanId", "Array(String)"),
    ("Links.TraceState", "Array(String)"),
    ("Links.Attributes", f"Array({_MAP})"),
]

_LOGS = [
    ("Timestamp", "DateTime64(9)"),
    ("TraceId", "String"),
    ("SpanId", "String"),
    ("TraceFlags", "UInt8"),
    ("SeverityText", _WORD),
    ("SeverityNumber", "UInt8"),
    ("ServiceName", _WORD),
    ("Body", "String"),
    ("ResourceSchemaUrl", _WORD),
    ("ResourceAttributes", _MAP),
    ("ScopeSchemaUrl", _WORD),
    ("ScopeName", "String"),
    ("ScopeVersion", _WORD),
    ("ScopeAttributes", _MAP),
    ("LogAttributes", _MAP),
    ("EventName", "String"),
]

# DESIGN's contract of llm_calls, in its order; a column may be added, none may go.
_CALLS = [
    "ts",
    "duration_ms",
    "ttft_ms",
    "trace_id",
    "span_id",
    "parent_span_id",
    "response_id",
    "service",
    "environment",
    "feature",
    "tenant",
    "user_id",
    "session_id",
    "prompt_name",
    "prompt_version",
    "template_hash",
    "operation",
    "provider",
    "request_model",
    "response_model",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
    "usage_source",
    "reported_cost_usd",
    "billable",
    "streaming",
    "status",
    "error_type",
    "finish_reasons",
    "attempt",
    "cached",
    "safety_flags",
    "instrumentation",
    "sdk_version",
    "attributes",
]


@pytest.mark.parametrize(("table", "columns"), [("otel_traces", _TRACES), ("otel_logs", _LOGS)])
def test_landing_tables_are_the_exporters(store: Store, table: str, columns: list[tuple[str, str]]) -> None:
    found = store.rows(_COLUMNS.format(table))
    assert found == columns
    assert (
        store.value(
            f"SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = '{table}'"
        )
        == "Null"
    )


@pytest.mark.parametrize("table", ["llm_calls", "llm_calls_once"])
def test_llm_calls_has_the_columns_of_the_contract(store: Store, table: str) -> None:
    found = [name for name, _ in store.rows(_COLUMNS.format(table))]
    assert [name for name in found if name in _CALLS] == _CALLS


def test_stored_tables_forget_a_repeated_insert(store: Store) -> None:
    forgetful = store.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
        "AND NOT match(create_table_query, 'non_replicated_deduplication_window = [1-9]')"
    )
    assert [
        name
        for (name,) in forgetful
        if name
        in {
            "spans",
            "llm_calls",
            "llm_texts",
            "scores",
            "prompt_templates",
            "sdk_losses",
            "quarantine",
            "instrumentations",
        }
    ] == []


def test_columns_with_a_unit_say_it(store: Store) -> None:
    silent = store.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'llm_calls' "
        "AND match(name, '(_tokens|_ms|_usd)$') AND NOT match(comment, '(tokens|ms|USD)')"
    )
    assert silent == []
