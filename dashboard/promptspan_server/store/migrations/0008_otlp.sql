-- Where the local store's OTLP receiver puts a body, as it came: the engine decodes the protobuf itself. Behind the view it is the
-- same way as the Collector's. A row is one Export*ServiceRequest; the message is in ingest/schemas/otlp.proto, read with
-- input_format_protobuf_oneof_presence = 1 (so an empty string differs from no value).
-- AnyValue is recursive; a table is not. Three levels are declared, which holds arrays of arrays and lists in lists of
-- scalars: what span attributes may be. What lies deeper is null.

CREATE TABLE otlp_traces_in
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String)))))))))))),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String),
            spans Array(Tuple(
                trace_id String,
                span_id String,
                trace_state String,
                parent_span_id String,
                name String,
                kind Int32,
                start_time_unix_nano UInt64,
                end_time_unix_nano UInt64,
                attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))))))),
                events Array(Tuple(time_unix_nano UInt64, name String, attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))))))))),
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))))))))),
                status Tuple(message String, code Int32)))))))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW otlp_traces_in_mv TO otel_traces AS
WITH
    -- AnyValue as text: a string as it is, bytes as base64, arrays and lists of keys and values as JSON (as the exporter writes them).
    (any -> multiIf(
        any.value = 'string', toJSONString(any.string_value),
        any.value = 'int', toString(any.int_value),
        any.value = 'double', toString(any.double_value),
        any.value = 'bool', if(any.bool_value, 'true', 'false'),
        any.value = 'bytes', toJSONString(base64Encode(any.bytes_value)),
        'null')) AS json_scalar,
    (any -> multiIf(
        any.value = 'array', concat('[', arrayStringConcat(arrayMap(item -> json_scalar(item), any.array_value.values), ','), ']'),
        any.value = 'kvlist', concat('{', arrayStringConcat(arrayMap(pair -> concat(toJSONString(pair.key), ':', json_scalar(pair.value)), any.kvlist_value.values), ','), '}'),
        json_scalar(any))) AS json,
    (any -> multiIf(
        any.value = 'string', any.string_value,
        any.value = 'bytes', base64Encode(any.bytes_value),
        any.value = 'none', '',
        any.value = 'array', concat('[', arrayStringConcat(arrayMap(item -> json(item), any.array_value.values), ','), ']'),
        any.value = 'kvlist', concat('{', arrayStringConcat(arrayMap(pair -> concat(toJSONString(pair.key), ':', json(pair.value)), any.kvlist_value.values), ','), '}'),
        json_scalar(any))) AS text,
    (pairs -> CAST(
        (arrayMap(pair -> pair.key, pairs), arrayMap(pair -> text(pair.value), pairs)),
        'Map(LowCardinality(String), String)')) AS attributes_of,
    -- Nanoseconds beyond the year 2262 do not fit; 0005 sets such clocks aside.
    (nanoseconds -> fromUnixTimestamp64Nano(toInt64(least(nanoseconds, 9223372036854775807)), 'UTC')) AS moment
SELECT
    moment(span.start_time_unix_nano) AS Timestamp,
    lower(hex(span.trace_id)) AS TraceId,
    lower(hex(span.span_id)) AS SpanId,
    lower(hex(span.parent_span_id)) AS ParentSpanId,
    span.trace_state AS TraceState,
    span.name AS SpanName,
    transform(span.kind, [1, 2, 3, 4, 5], ['Internal', 'Server', 'Client', 'Producer', 'Consumer'], 'Unspecified') AS SpanKind,
    ResourceAttributes['service.name'] AS ServiceName,
    ResourceAttributes,
    ScopeName,
    ScopeVersion,
    attributes_of(span.attributes) AS SpanAttributes,
    span.end_time_unix_nano - span.start_time_unix_nano AS Duration,
    transform(span.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(event -> moment(event.time_unix_nano), span.events) AS `Events.Timestamp`,
    arrayMap(event -> event.name, span.events) AS `Events.Name`,
    arrayMap(event -> attributes_of(event.attributes), span.events) AS `Events.Attributes`,
    arrayMap(link -> lower(hex(link.trace_id)), span.links) AS `Links.TraceId`,
    arrayMap(link -> lower(hex(link.span_id)), span.links) AS `Links.SpanId`,
    arrayMap(link -> link.trace_state, span.links) AS `Links.TraceState`,
    arrayMap(link -> attributes_of(link.attributes), span.links) AS `Links.Attributes`
FROM
(
    SELECT
        attributes_of(resource_span.resource.attributes) AS ResourceAttributes,
        scope_span.scope.name AS ScopeName,
        scope_span.scope.version AS ScopeVersion,
        scope_span.spans AS spans
    FROM otlp_traces_in
    ARRAY JOIN resource_spans AS resource_span
    ARRAY JOIN resource_span.scope_spans AS scope_span
)
ARRAY JOIN spans AS span;

CREATE TABLE otlp_logs_in
(
    resource_logs Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String)))))))))))),
        schema_url String,
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String)))))))))))),
            schema_url String,
            log_records Array(Tuple(
                time_unix_nano UInt64,
                observed_time_unix_nano UInt64,
                severity_number Int32,
                severity_text String,
                body Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))))),
                attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String, array_value Tuple(values Array(Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))), kvlist_value Tuple(values Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value UInt8, int_value Int64, double_value Float64, bytes_value String))))))))))),
                flags UInt32,
                trace_id String,
                span_id String,
                event_name String))))))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW otlp_logs_in_mv TO otel_logs AS
WITH
    -- AnyValue as text: a string as it is, bytes as base64, arrays and lists of keys and values as JSON (as the exporter writes them).
    (any -> multiIf(
        any.value = 'string', toJSONString(any.string_value),
        any.value = 'int', toString(any.int_value),
        any.value = 'double', toString(any.double_value),
        any.value = 'bool', if(any.bool_value, 'true', 'false'),
        any.value = 'bytes', toJSONString(base64Encode(any.bytes_value)),
        'null')) AS json_scalar,
    (any -> multiIf(
        any.value = 'array', concat('[', arrayStringConcat(arrayMap(item -> json_scalar(item), any.array_value.values), ','), ']'),
        any.value = 'kvlist', concat('{', arrayStringConcat(arrayMap(pair -> concat(toJSONString(pair.key), ':', json_scalar(pair.value)), any.kvlist_value.values), ','), '}'),
        json_scalar(any))) AS json,
    (any -> multiIf(
        any.value = 'string', any.string_value,
        any.value = 'bytes', base64Encode(any.bytes_value),
        any.value = 'none', '',
        any.value = 'array', concat('[', arrayStringConcat(arrayMap(item -> json(item), any.array_value.values), ','), ']'),
        any.value = 'kvlist', concat('{', arrayStringConcat(arrayMap(pair -> concat(toJSONString(pair.key), ':', json(pair.value)), any.kvlist_value.values), ','), '}'),
        json_scalar(any))) AS text,
    (pairs -> CAST(
        (arrayMap(pair -> pair.key, pairs), arrayMap(pair -> text(pair.value), pairs)),
        'Map(LowCardinality(String), String)')) AS attributes_of
SELECT
    fromUnixTimestamp64Nano(toInt64(least(if(record.time_unix_nano = 0, record.observed_time_unix_nano, record.time_unix_nano), 9223372036854775807)), 'UTC') AS Timestamp,
    lower(hex(record.trace_id)) AS TraceId,
    lower(hex(record.span_id)) AS SpanId,
    toUInt8(bitAnd(record.flags, 255)) AS TraceFlags,
    record.severity_text AS SeverityText,
    toUInt8(greatest(least(record.severity_number, 255), 0)) AS SeverityNumber,
    ResourceAttributes['service.name'] AS ServiceName,
    text(record.body) AS Body,
    ResourceSchemaUrl,
    ResourceAttributes,
    ScopeSchemaUrl,
    ScopeName,
    ScopeVersion,
    ScopeAttributes,
    attributes_of(record.attributes) AS LogAttributes,
    record.event_name AS EventName
FROM
(
    SELECT
        attributes_of(resource_log.resource.attributes) AS ResourceAttributes,
        resource_log.schema_url AS ResourceSchemaUrl,
        scope_log.schema_url AS ScopeSchemaUrl,
        scope_log.scope.name AS ScopeName,
        scope_log.scope.version AS ScopeVersion,
        attributes_of(scope_log.scope.attributes) AS ScopeAttributes,
        scope_log.log_records AS log_records
    FROM otlp_logs_in
    ARRAY JOIN resource_logs AS resource_log
    ARRAY JOIN resource_log.scope_logs AS scope_log
)
ARRAY JOIN log_records AS record;
