-- Every span, for waterfalls: read by trace id, kept for two weeks.

CREATE TABLE spans
(
    trace_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    ts DateTime64(9, 'UTC') COMMENT 'start of the span' CODEC(Delta(8), ZSTD(1)),
    span_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    parent_span_id String COMMENT 'lower case hex, empty for a root' CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'Internal, Server, Client, Producer, Consumer' CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    duration_ms Float64 COMMENT 'ms' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'Unset, Ok, Error' CODEC(ZSTD(1)),
    status_message String CODEC(ZSTD(1)),
    scope LowCardinality(String) COMMENT 'who produced the span' CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) COMMENT 'as sent, values cut at 1024 characters' CODEC(ZSTD(1)),
    events Array(Tuple(ts DateTime64(9, 'UTC'), name LowCardinality(String), attributes Map(LowCardinality(String), String)))
        COMMENT 'exceptions and the like, at most 32' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(ts)
ORDER BY (trace_id, ts, span_id)
TTL toDateTime(ts) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- Texts of prompts live in llm_texts, apart from the spans and for a different time: here an attribute is cut.
CREATE MATERIALIZED VIEW spans_mv TO spans AS
WITH
    (given -> if(
        arrayExists(value -> length(value) > 1024, mapValues(given)) OR length(given) > 128,
        CAST(arraySlice(arrayMap((name, value) -> (name, substringUTF8(value, 1, 1024)), mapKeys(given), mapValues(given)), 1, 128), 'Map(LowCardinality(String), String)'),
        given)) AS cut,
    -- As in 0005: clocks that are off get the day of the insert and keep the time of the day.
    ((at, wall) -> multiIf(
        at > wall + INTERVAL 1 HOUR, toStartOfHour(wall) + toIntervalNanosecond(toUnixTimestamp64Nano(at) % 3600000000000),
        at < wall - INTERVAL 30 DAY, toStartOfDay(wall) - INTERVAL 29 DAY + toIntervalNanosecond(toUnixTimestamp64Nano(at) % 86400000000000),
        at)) AS clamp
SELECT
    TraceId AS trace_id,
    clamp(Timestamp, now64(9, 'UTC')) AS ts,
    SpanId AS span_id,
    ParentSpanId AS parent_span_id,
    SpanName AS name,
    SpanKind AS kind,
    ServiceName AS service,
    -- An end before the start wraps around: nobody knows how long it took.
    if(Duration > 9223372036854775807, 0, Duration / 1000000) AS duration_ms,
    StatusCode AS status,
    substringUTF8(StatusMessage, 1, 1024) AS status_message,
    ScopeName AS scope,
    cut(SpanAttributes) AS attributes,
    arrayMap((at, name, given) -> (at, name, cut(given)), arraySlice(Events.Timestamp, 1, 32), arraySlice(Events.Name, 1, 32), arraySlice(Events.Attributes, 1, 32)) AS events
FROM otel_traces;
