-- Where telemetry lands. Nothing is stored here: the tables have no storage, the views behind them have.

-- Spans, with exactly the columns that the Collector's ClickHouse exporter inserts (names, types, order), so that the
-- exporter runs with `create_schema: false`. Source: opentelemetry-collector-contrib v0.161.0,
-- exporter/clickhouseexporter/internal/sqltemplates/traces_table.sql and traces_insert.sql.
CREATE TABLE otel_traces
(
    Timestamp DateTime64(9) COMMENT 'start of the span, UTC',
    TraceId String COMMENT 'lower case hex, 32 characters',
    SpanId String COMMENT 'lower case hex, 16 characters',
    ParentSpanId String COMMENT 'lower case hex, empty for a root',
    TraceState String,
    SpanName LowCardinality(String),
    SpanKind LowCardinality(String) COMMENT 'Unspecified, Internal, Server, Client, Producer or Consumer',
    ServiceName LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String),
    ScopeName String,
    ScopeVersion String,
    SpanAttributes Map(LowCardinality(String), String),
    Duration UInt64 COMMENT 'ns',
    StatusCode LowCardinality(String) COMMENT 'Unset, Ok or Error',
    StatusMessage String,
    Events Nested
    (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ),
    Links Nested
    (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    )
)
ENGINE = Null;

-- Log records, likewise: logs_table.sql and logs_insert.sql of the same exporter. It writes EventName because the column is here.
CREATE TABLE otel_logs
(
    Timestamp DateTime64(9) COMMENT 'time of the event, else of its observation, UTC',
    TraceId String,
    SpanId String,
    TraceFlags UInt8,
    SeverityText LowCardinality(String),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String),
    Body String,
    ResourceSchemaUrl LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String),
    ScopeSchemaUrl LowCardinality(String),
    ScopeName String,
    ScopeVersion LowCardinality(String),
    ScopeAttributes Map(LowCardinality(String), String),
    LogAttributes Map(LowCardinality(String), String),
    EventName String
)
ENGINE = Null;
