-- Where the local store's OTLP receiver puts a body, as it came: the engine decodes the protobuf itself. Behind the view it is the
-- same way as the Collector's. A row is one Export*ServiceRequest; the messages are in ingest/schemas/otlp.proto.
-- AnyValue is recursive, a table is not: it stays in its protobuf bytes and becomes text in the view. (Declared types of its kinds cost
-- twice as much per span, and 30 ms of analysis at every insert.) A value may be a scalar, an array of scalars or a list of named
-- scalars. What lies deeper is kept as base64 of its protobuf bytes. Links are not read: nothing behind asks for them.

CREATE TABLE otlp_traces_in
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value String))),
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
                attributes Array(Tuple(key String, value String)),
                events Array(Tuple(time_unix_nano UInt64, name String, attributes Array(Tuple(key String, value String)))),
                status Tuple(message String, code Int32)))))))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW otlp_traces_in_mv TO otel_traces AS
WITH
    -- AnyValue as text, as the Collector's exporter writes it: a string as it is, bytes as base64, the rest as JSON. It comes as its
    -- protobuf bytes: a tag ('\n' string, 16 bool, 24 int, '!' double, '*' array, '2' list of pairs, ':' bytes), then the value.
    -- A length before a value has a byte for every seven bits of it; so has an integer. Lowest first, the high bit says that more follow.
    (raw -> multiIf(length(raw) < 130, 3, length(raw) < 16387, 4, length(raw) < 2097156, 5, 6)) AS begin_of,
    (raw -> substring(raw, begin_of(raw))) AS content_of,
    (raw -> multiIf(
        startsWith(raw, '\n'), content_of(raw),
        startsWith(raw, char(24)), toString(reinterpretAsInt64(reinterpretAsFixedString(arraySum(
            place -> bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt8(substring(raw, place + 2, 1)), 127)), 7 * place), range(toUInt64(greatest(length(raw), 1) - 1)))))),
        startsWith(raw, char(16)), if(endsWith(raw, char(1)), 'true', 'false'),
        startsWith(raw, '!'), toString(reinterpretAsFloat64(substring(raw, 2))),
        startsWith(raw, ':'), base64Encode(content_of(raw)),
        base64Encode(raw))) AS scalar,
    -- The elements of an array or list, a thousand at most: each has a tag ('\n'), its length (three bytes of it are read) and its
    -- bytes. First where they begin and the last one ends, then what is between. (A name for one value is an arrayMap of one.)
    (raw -> arrayFold(
        (found, place) -> if(
            found[-1] > length(raw), found,
            arrayPushBack(found, found[-1] + arrayMap(
                size -> toUInt64(bitAnd(size, 127) + multiIf(
                    bitAnd(size, 128) = 0, 2,
                    bitAnd(size, 32768) = 0, 3 + bitAnd(bitShiftRight(size, 1), 16256),
                    4 + bitAnd(bitShiftRight(size, 1), 16256) + bitAnd(bitShiftRight(size, 2), 2080768))),
                [reinterpretAsUInt32(substring(raw, found[-1] + 1, 4))])[1])),
        range(least(1000, countSubstrings(raw, '\n'))),
        [toUInt64(begin_of(raw))])) AS places,
    (raw -> arrayMap(
        found -> arrayMap((begin, end) -> content_of(substring(raw, begin, end - begin)), arrayPopBack(found), arrayPopFront(found)), [places(raw)])[1]) AS elements,
    (raw -> multiIf(
        startsWith(raw, '\n'), content_of(raw),
        substring(raw, 1, 1) NOT IN ('*', '2'), scalar(raw),
        -- One short string is what most arrays hold.
        startsWith(raw, '*') AND substring(raw, 5, 1) = '\n' AND length(raw) < 130 AND reinterpretAsUInt8(substring(raw, 4, 1)) = length(raw) - 4,
            concat('[', toJSONString(substring(raw, 7)), ']'),
        concat(
            if(startsWith(raw, '*'), '[', '{'),
            arrayStringConcat(arrayMap(
                (name, tag, text) -> concat(name, multiIf(tag = '', 'null', tag IN (char(16), char(24), '!'), text, toJSONString(text))),
                arrayMap(
                    pair -> (pair.1, substring(pair.2, 1, 1), scalar(pair.2)),
                    arrayMap(
                        -- A pair is a name (up to 127 bytes) and a value, each with tag and length.
                        item -> if(
                            startsWith(raw, '*'), ('', item),
                            (concat(toJSONString(substring(item, 3, reinterpretAsUInt8(substring(item, 2, 1)))), ':'), content_of(substring(item, 3 + reinterpretAsUInt8(substring(item, 2, 1)))))),
                        elements(raw)))), ','),
            if(startsWith(raw, '*'), ']', '}')))) AS any_text,
    (attributes -> CAST((attributes.key, arrayMap(raw -> any_text(raw), attributes.value)), 'Map(LowCardinality(String), String)')) AS map_of,
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
    ResourceAttributes,
    ResourceAttributes['service.name'] AS ServiceName,
    ScopeName,
    ScopeVersion,
    maps[1] AS SpanAttributes,
    span.end_time_unix_nano - span.start_time_unix_nano AS Duration,
    transform(span.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(at -> moment(at), span.events.time_unix_nano) AS `Events.Timestamp`,
    span.events.name AS `Events.Name`,
    arraySlice(maps, 2) AS `Events.Attributes`
FROM
(
    SELECT
        span,
        ResourceAttributes,
        ScopeName,
        ScopeVersion,
        -- All attributes at once, because the engine analyses this text for each use of it.
        arrayMap(attributes -> map_of(attributes), arrayConcat([span.attributes], span.events.attributes)) AS maps
    FROM
    (
        SELECT
            -- Of a resource nothing behind reads arrays and lists: they stay bytes.
            CAST((resource_span.resource.attributes.key, arrayMap(raw -> scalar(raw), resource_span.resource.attributes.value)), 'Map(LowCardinality(String), String)') AS ResourceAttributes,
            scope_span.scope.name AS ScopeName,
            scope_span.scope.version AS ScopeVersion,
            scope_span.spans AS spans
        FROM otlp_traces_in
        ARRAY JOIN resource_spans AS resource_span
        ARRAY JOIN resource_span.scope_spans AS scope_span
    )
    ARRAY JOIN spans AS span
);

CREATE TABLE otlp_logs_in
(
    resource_logs Array(Tuple(
        resource Tuple(attributes Array(Tuple(key String, value String))),
        schema_url String,
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key String, value String))),
            schema_url String,
            log_records Array(Tuple(
                time_unix_nano UInt64,
                observed_time_unix_nano UInt64,
                severity_number Int32,
                severity_text String,
                body String,
                attributes Array(Tuple(key String, value String)),
                flags UInt32,
                trace_id String,
                span_id String,
                event_name String))))))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW otlp_logs_in_mv TO otel_logs AS
WITH
    -- As above.
    (raw -> multiIf(length(raw) < 130, 3, length(raw) < 16387, 4, length(raw) < 2097156, 5, 6)) AS begin_of,
    (raw -> substring(raw, begin_of(raw))) AS content_of,
    (raw -> multiIf(
        startsWith(raw, '\n'), content_of(raw),
        startsWith(raw, char(24)), toString(reinterpretAsInt64(reinterpretAsFixedString(arraySum(
            place -> bitShiftLeft(toUInt64(bitAnd(reinterpretAsUInt8(substring(raw, place + 2, 1)), 127)), 7 * place), range(toUInt64(greatest(length(raw), 1) - 1)))))),
        startsWith(raw, char(16)), if(endsWith(raw, char(1)), 'true', 'false'),
        startsWith(raw, '!'), toString(reinterpretAsFloat64(substring(raw, 2))),
        startsWith(raw, ':'), base64Encode(content_of(raw)),
        base64Encode(raw))) AS scalar,
    (raw -> arrayFold(
        (found, place) -> if(
            found[-1] > length(raw), found,
            arrayPushBack(found, found[-1] + arrayMap(
                size -> toUInt64(bitAnd(size, 127) + multiIf(
                    bitAnd(size, 128) = 0, 2,
                    bitAnd(size, 32768) = 0, 3 + bitAnd(bitShiftRight(size, 1), 16256),
                    4 + bitAnd(bitShiftRight(size, 1), 16256) + bitAnd(bitShiftRight(size, 2), 2080768))),
                [reinterpretAsUInt32(substring(raw, found[-1] + 1, 4))])[1])),
        range(least(1000, countSubstrings(raw, '\n'))),
        [toUInt64(begin_of(raw))])) AS places,
    (raw -> arrayMap(
        found -> arrayMap((begin, end) -> content_of(substring(raw, begin, end - begin)), arrayPopBack(found), arrayPopFront(found)), [places(raw)])[1]) AS elements,
    (raw -> multiIf(
        startsWith(raw, '\n'), content_of(raw),
        substring(raw, 1, 1) NOT IN ('*', '2'), scalar(raw),
        -- One short string is what most arrays hold.
        startsWith(raw, '*') AND substring(raw, 5, 1) = '\n' AND length(raw) < 130 AND reinterpretAsUInt8(substring(raw, 4, 1)) = length(raw) - 4,
            concat('[', toJSONString(substring(raw, 7)), ']'),
        concat(
            if(startsWith(raw, '*'), '[', '{'),
            arrayStringConcat(arrayMap(
                (name, tag, text) -> concat(name, multiIf(tag = '', 'null', tag IN (char(16), char(24), '!'), text, toJSONString(text))),
                arrayMap(
                    pair -> (pair.1, substring(pair.2, 1, 1), scalar(pair.2)),
                    arrayMap(
                        item -> if(
                            startsWith(raw, '*'), ('', item),
                            (concat(toJSONString(substring(item, 3, reinterpretAsUInt8(substring(item, 2, 1)))), ':'), content_of(substring(item, 3 + reinterpretAsUInt8(substring(item, 2, 1)))))),
                        elements(raw)))), ','),
            if(startsWith(raw, '*'), ']', '}')))) AS any_text,
    (attributes -> CAST((attributes.key, arrayMap(raw -> any_text(raw), attributes.value)), 'Map(LowCardinality(String), String)')) AS map_of
SELECT
    fromUnixTimestamp64Nano(toInt64(least(if(record.time_unix_nano = 0, record.observed_time_unix_nano, record.time_unix_nano), 9223372036854775807)), 'UTC') AS Timestamp,
    lower(hex(record.trace_id)) AS TraceId,
    lower(hex(record.span_id)) AS SpanId,
    toUInt8(bitAnd(record.flags, 255)) AS TraceFlags,
    record.severity_text AS SeverityText,
    toUInt8(greatest(least(record.severity_number, 255), 0)) AS SeverityNumber,
    ResourceAttributes['service.name'] AS ServiceName,
    any_text(record.body) AS Body,
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
