-- Where the local store's OTLP receiver puts a body, as it came: the engine decodes the protobuf itself. Behind the view it is the
-- same way as the Collector's. A row is one Export*ServiceRequest; the messages are in ingest/schemas/otlp.proto, read with
-- input_format_protobuf_oneof_presence = 1 (so that an empty string differs from no value).
-- AnyValue is recursive, a table is not: an attribute may be a scalar, an array of scalars or a list of named scalars. What lies
-- deeper is kept as base64 of its protobuf bytes. (Three levels of declared types cost 100 ms of analysis at every insert.)

CREATE TABLE otlp_traces_in
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String)))),
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
                attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String))),
                events Array(Tuple(time_unix_nano UInt64, name String, attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String))))),
                links Array(Tuple(trace_id String, span_id String, trace_state String, attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String))))),
                status Tuple(message String, code Int32)))))))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW otlp_traces_in_mv TO otel_traces AS
WITH
    -- AnyValue as text, as the Collector's exporter writes it: a string as it is, bytes as base64, the rest as JSON.
    -- An element of an array or list comes as protobuf bytes: a tag (10 string, 16 bool, 24 int, 33 double), then the value.
    -- Strings have their length before them, seven bits a byte; so do integers consist of seven bits a byte, lowest first.
    (raw -> multiIf(
        startsWith(raw, '\n'), toJSONString(substring(raw, multiIf(length(raw) < 130, 3, length(raw) < 16387, 4, length(raw) < 2097156, 5, 6))),
        startsWith(raw, char(16)), if(endsWith(raw, char(1)), 'true', 'false'),
        startsWith(raw, char(24)), toString(reinterpretAsInt64(reinterpretAsFixedString(arraySum(
            (place) -> bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt8(substring(raw, place + 2, 1)), 127)), 7 * place), range(toUInt64(greatest(length(raw), 1) - 1)))))),
        startsWith(raw, '!'), toString(reinterpretAsFloat64(substring(raw, 2))),
        raw = '', 'null',
        toJSONString(base64Encode(raw)))) AS element,
    ((kind, text, flag, whole, real, items, pairs, bytes) -> multiIf(
        kind = 'string', text,
        kind = 'int', toString(whole),
        kind = 'double', toString(real),
        kind = 'bool', toString(flag),
        kind = 'array', concat('[', arrayStringConcat(arrayMap(item -> element(item), items), ','), ']'),
        kind = 'kvlist', concat('{', arrayStringConcat(arrayMap(pair -> concat(toJSONString(pair.1), ':', element(pair.2)), pairs), ','), '}'),
        base64Encode(bytes))) AS any_text,
    (attributes -> CAST(
        (
            attributes.key,
            arrayMap(
                (kind, text, flag, whole, real, items, pairs, bytes) -> any_text(kind, text, flag, whole, real, items, pairs, bytes),
                attributes.value.value, attributes.value.string_value, attributes.value.bool_value, attributes.value.int_value, attributes.value.double_value,
                attributes.value.array_value.values, attributes.value.kvlist_value.values, attributes.value.bytes_value)
        ),
        'Map(LowCardinality(String), String)')) AS map_of,
    -- Nanoseconds beyond the year 2262 do not fit; 0005 sets such clocks right.
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
    map_of(span.attributes) AS SpanAttributes,
    span.end_time_unix_nano - span.start_time_unix_nano AS Duration,
    transform(span.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(event -> moment(event.time_unix_nano), span.events) AS `Events.Timestamp`,
    span.events.name AS `Events.Name`,
    arrayMap(event -> map_of(event.attributes), span.events) AS `Events.Attributes`,
    arrayMap(id -> lower(hex(id)), span.links.trace_id) AS `Links.TraceId`,
    arrayMap(id -> lower(hex(id)), span.links.span_id) AS `Links.SpanId`,
    span.links.trace_state AS `Links.TraceState`,
    arrayMap(link -> map_of(link.attributes), span.links) AS `Links.Attributes`
FROM
(
    SELECT
        map_of(resource_span.resource.attributes) AS ResourceAttributes,
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
        resource Tuple(attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String)))),
        schema_url String,
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String)))),
            schema_url String,
            log_records Array(Tuple(
                time_unix_nano UInt64,
                observed_time_unix_nano UInt64,
                severity_number Int32,
                severity_text String,
                body Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String),
                attributes Array(Tuple(key String, value Tuple(value Enum8('none' = 0, 'string' = 1, 'bool' = 2, 'int' = 3, 'double' = 4, 'array' = 5, 'kvlist' = 6, 'bytes' = 7), string_value String, bool_value Bool, int_value Int64, double_value Float64, array_value Tuple(values Array(String)), kvlist_value Tuple(values Array(Tuple(key String, value String))), bytes_value String))),
                flags UInt32,
                trace_id String,
                span_id String,
                event_name String))))))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW otlp_logs_in_mv TO otel_logs AS
WITH
    -- AnyValue as text, as the Collector's exporter writes it: a string as it is, bytes as base64, the rest as JSON.
    -- An element of an array or list comes as protobuf bytes: a tag (10 string, 16 bool, 24 int, 33 double), then the value.
    -- Strings have their length before them, seven bits a byte; so do integers consist of seven bits a byte, lowest first.
    (raw -> multiIf(
        startsWith(raw, '\n'), toJSONString(substring(raw, multiIf(length(raw) < 130, 3, length(raw) < 16387, 4, length(raw) < 2097156, 5, 6))),
        startsWith(raw, char(16)), if(endsWith(raw, char(1)), 'true', 'false'),
        startsWith(raw, char(24)), toString(reinterpretAsInt64(reinterpretAsFixedString(arraySum(
            (place) -> bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt8(substring(raw, place + 2, 1)), 127)), 7 * place), range(toUInt64(greatest(length(raw), 1) - 1)))))),
        startsWith(raw, '!'), toString(reinterpretAsFloat64(substring(raw, 2))),
        raw = '', 'null',
        toJSONString(base64Encode(raw)))) AS element,
    ((kind, text, flag, whole, real, items, pairs, bytes) -> multiIf(
        kind = 'string', text,
        kind = 'int', toString(whole),
        kind = 'double', toString(real),
        kind = 'bool', toString(flag),
        kind = 'array', concat('[', arrayStringConcat(arrayMap(item -> element(item), items), ','), ']'),
        kind = 'kvlist', concat('{', arrayStringConcat(arrayMap(pair -> concat(toJSONString(pair.1), ':', element(pair.2)), pairs), ','), '}'),
        base64Encode(bytes))) AS any_text,
    (attributes -> CAST(
        (
            attributes.key,
            arrayMap(
                (kind, text, flag, whole, real, items, pairs, bytes) -> any_text(kind, text, flag, whole, real, items, pairs, bytes),
                attributes.value.value, attributes.value.string_value, attributes.value.bool_value, attributes.value.int_value, attributes.value.double_value,
                attributes.value.array_value.values, attributes.value.kvlist_value.values, attributes.value.bytes_value)
        ),
        'Map(LowCardinality(String), String)')) AS map_of
SELECT
    fromUnixTimestamp64Nano(toInt64(least(if(record.time_unix_nano = 0, record.observed_time_unix_nano, record.time_unix_nano), 9223372036854775807)), 'UTC') AS Timestamp,
    lower(hex(record.trace_id)) AS TraceId,
    lower(hex(record.span_id)) AS SpanId,
    toUInt8(bitAnd(record.flags, 255)) AS TraceFlags,
    record.severity_text AS SeverityText,
    toUInt8(greatest(least(record.severity_number, 255), 0)) AS SeverityNumber,
    ResourceAttributes['service.name'] AS ServiceName,
    any_text(
        record.body.value, record.body.string_value, record.body.bool_value, record.body.int_value, record.body.double_value,
        record.body.array_value.values, record.body.kvlist_value.values, record.body.bytes_value) AS Body,
    ResourceSchemaUrl,
    ResourceAttributes,
    ScopeSchemaUrl,
    ScopeName,
    ScopeVersion,
    ScopeAttributes,
    map_of(record.attributes) AS LogAttributes,
    record.event_name AS EventName
FROM
(
    SELECT
        map_of(resource_log.resource.attributes) AS ResourceAttributes,
        resource_log.schema_url AS ResourceSchemaUrl,
        scope_log.schema_url AS ScopeSchemaUrl,
        scope_log.scope.name AS ScopeName,
        scope_log.scope.version AS ScopeVersion,
        map_of(scope_log.scope.attributes) AS ScopeAttributes,
        scope_log.log_records AS log_records
    FROM otlp_logs_in
    ARRAY JOIN resource_logs AS resource_log
    ARRAY JOIN resource_log.scope_logs AS scope_log
)
ARRAY JOIN log_records AS record;
