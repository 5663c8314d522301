-- Every instrumentation's spans, read once, into the one form behind llm_calls, llm_texts, prompt_templates and quarantine.

-- What the view below yields. No storage: 0006 hands it out.
CREATE TABLE normalised_calls
(
    ts DateTime64(9, 'UTC'),
    duration_ms Float64,
    ttft_ms Nullable(Float64),
    trace_id String,
    span_id String,
    parent_span_id String,
    response_id String,
    service LowCardinality(String),
    environment LowCardinality(String),
    feature LowCardinality(String),
    tenant LowCardinality(String),
    user_id String,
    session_id String,
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    template_hash String,
    operation LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    input_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64),
    cache_write_5m_tokens Nullable(UInt64),
    cache_write_1h_tokens Nullable(UInt64),
    audio_input_tokens Nullable(UInt64),
    output_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64),
    audio_output_tokens Nullable(UInt64),
    usage_source LowCardinality(String),
    service_tier LowCardinality(String),
    reported_cost_usd Nullable(Decimal(18, 9)),
    billable Bool,
    streaming Bool,
    status LowCardinality(String),
    error_type LowCardinality(String),
    finish_reasons Array(LowCardinality(String)),
    attempt UInt16,
    cached Bool,
    safety_flags Array(LowCardinality(String)),
    instrumentation LowCardinality(String),
    sdk_version LowCardinality(String),
    attributes Map(LowCardinality(String), String),
    input_text String,
    output_text String,
    template String,
    template_owner String,
    template_description String,
    problems Array(Tuple(field LowCardinality(String), value String, reason LowCardinality(String)))
)
ENGINE = Null;

-- Read from the inside out: 1. facts of a span, 2. their meaning, 3. typed values, 4. what follows from them.
CREATE MATERIALIZED VIEW normalised_calls_mv TO normalised_calls AS
WITH
    -- The alias rows, read once an insert. `code` is the rank of an alias: lowest priority first, 0 means no alias.
    (
        SELECT CAST((groupArray(attribute), groupArray(code), groupArray(field), groupArrayIf(attribute, is_json)),
            'Tuple(attributes Array(String), codes Array(UInt16), fields Array(String), json Array(String))')
        FROM (SELECT attribute, field, is_json, toUInt16(row_number() OVER (ORDER BY priority, attribute)) AS code FROM attribute_aliases FINAL)
        WHERE field != '' OR is_json
    ) AS alias,
    (
        SELECT CAST((
                groupArrayIf(value, field = 'operation'), groupArrayIf(canonical, field = 'operation'),
                groupArrayIf(value, field = 'billable'),
                groupArrayIf(value, field = 'provider'), groupArrayIf(canonical, field = 'provider'),
                groupArrayIf(value, field = 'host'), groupArrayIf(canonical, field = 'host'),
                groupArrayIf(value, field = 'finish_reason'), groupArrayIf(canonical, field = 'finish_reason'),
                groupArrayIf(value, field = 'status'), groupArrayIf(canonical, field = 'status'),
                groupArrayIf(value, field = 'exclusive_scope'), groupArrayIf(value, field = 'first_token_event')),
            'Tuple(operations Array(String), operations_to Array(String), billable Array(String), providers Array(String), providers_to Array(String),
                hosts Array(String), hosts_to Array(String), finish Array(String), finish_to Array(String),
                status Array(String), status_to Array(String), exclusive_scopes Array(String), first_token Array(String))')
        FROM value_aliases FINAL
    ) AS word,
    -- A count of tokens; NULL for what is no whole number from 0 to a billion.
    (text -> if(toFloat64OrNull(text) <= 1000000000, accurateCastOrNull(toFloat64OrNull(text), 'UInt64'), NULL)) AS tokens,
    (text -> multiIf(
        isNaN(ifNull(toFloat64OrNull(text), nan)), 'not a number',
        toFloat64OrNull(text) < 0, 'negative',
        toFloat64OrNull(text) > 1000000000, 'absurd', 'not a whole number')) AS reason_against,
    -- A list of strings, however it was written: JSON, OTLP's own JSON (rotel), or one bare word.
    (text -> multiIf(
        text = '', [],
        startsWith(text, '['), JSONExtract(text, 'Array(String)'),
        startsWith(text, '{"values"'), arrayMap(item -> JSONExtractString(item, 'stringValue'), JSONExtractArrayRaw(text, 'values')),
        [trim(BOTH '"' FROM text)])) AS strings,
    -- Clocks that are off: the day of the insert, the time of the day as it was. Stable for the retries of a batch.
    ((at, wall) -> multiIf(
        at > wall + INTERVAL 1 HOUR, toStartOfHour(wall) + toIntervalNanosecond(toUnixTimestamp64Nano(at) % 3600000000000),
        at < wall - INTERVAL 30 DAY, toStartOfDay(wall) - INTERVAL 29 DAY + toIntervalNanosecond(toUnixTimestamp64Nano(at) % 86400000000000),
        at)) AS clamp,
    -- System instructions travel apart from the messages: one text again.
    ((instructions, messages) -> multiIf(
        instructions = '', messages,
        startsWith(messages, '[{') AND startsWith(instructions, '['), concat('[{"role":"system","parts":', instructions, '},', substring(messages, 2)),
        concat(instructions, '\n', messages))) AS with_system
SELECT
    ts,
    duration_ms,
    ttft_ms,
    trace_id,
    span_id,
    parent_span_id,
    response_id,
    service,
    environment,
    feature,
    tenant,
    user_id,
    session_id,
    prompt_name,
    prompt_version,
    template_hash,
    operation,
    provider,
    request_model,
    response_model,
    if(no_usage, NULL, input_total) AS input_tokens,
    if(no_usage, NULL, cache_read) AS cache_read_tokens,
    -- A write whose lifetime nobody recorded has the default lifetime, five minutes.
    if(no_usage, NULL, if(cache_write >= ifNull(cache_write_1h, 0), cache_write - ifNull(cache_write_1h, 0), cache_write_5m)) AS cache_write_5m_tokens,
    if(no_usage, NULL, cache_write_1h) AS cache_write_1h_tokens,
    if(no_usage, NULL, audio_input) AS audio_input_tokens,
    if(no_usage, NULL, output_total) AS output_tokens,
    if(no_usage, NULL, reasoning) AS reasoning_tokens,
    if(no_usage, NULL, audio_output) AS audio_output_tokens,
    multiIf(no_usage, 'missing', given_usage_source != '', given_usage_source, 'provider') AS usage_source,
    service_tier,
    reported_cost AS reported_cost_usd,
    billable,
    streaming,
    multiIf(given_status != '', given_status, NOT failed, 'ok', transform(lower(error_type), word.status, word.status_to, 'error')) AS status,
    error_type,
    finish_reasons,
    attempt,
    cached,
    safety_flags,
    instrumentation,
    sdk_version,
    if(clock_problem = '', other, mapUpdate(other, map('promptspan.original_ts', toString(original_ts)))) AS attributes,
    input_text,
    output_text,
    template,
    template_owner,
    template_description,
    arrayConcat(
        bad_numbers,
        if(clock_problem = '', [], [('ts', toString(original_ts), clock_problem)]),
        if(backwards, [('duration_ms', '', 'negative')], [])) AS problems
FROM
(
    -- 4. What follows from the typed values.
    SELECT
        *,
        -- Usage is inclusive (GenAI conventions). Counts that exclude the cache get it added: of scopes known for it, of sources
        -- that exclude it by definition, and of any span whose cache would exceed its input.
        ifNull(cache_read, 0) + ifNull(cache_write, 0) AS cache_total,
        coalesce(input_given, input_exclusive) AS input_base,
        if(exclusive_scope OR input_given IS NULL OR cache_total > input_base, input_base + cache_total, input_base) AS input_total,
        coalesce(output_given, if(total_given >= input_total, total_given - input_total, NULL)) AS output_total,
        -- Nobody calls a model with nothing: 0 in and 0 out is how some say that they do not know.
        ifNull(input_total, 0) = 0 AND ifNull(output_total, 0) = 0 AS no_usage
    FROM
    (
        -- 3. Typed values, field by field.
        SELECT
            clamp(Timestamp, now64(9, 'UTC')) AS ts,
            Timestamp AS original_ts,
            multiIf(Timestamp > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future', Timestamp < now64(9, 'UTC') - INTERVAL 30 DAY, 'ancient', '') AS clock_problem,
            Duration > 9223372036854775807 AS backwards,
            if(backwards, 0, Duration / 1000000) AS duration_ms,
            TraceId AS trace_id,
            SpanId AS span_id,
            ParentSpanId AS parent_span_id,
            field['response_id'] AS response_id,
            ServiceName AS service,
            coalesce(
                nullIf(ResourceAttributes['deployment.environment.name'], ''), nullIf(ResourceAttributes['deployment.environment'], ''),
                field['environment']) AS environment,
            field['feature'] AS feature,
            field['tenant'] AS tenant,
            field['user_id'] AS user_id,
            if(field['session_id'] != '', field['session_id'], field['conversation_id']) AS session_id,
            field['prompt_name'] AS prompt_name,
            field['template_hash'] AS template_hash,
            if(field['prompt_version'] != '', field['prompt_version'], substring(template_hash, 1, 12)) AS prompt_version,
            lower(if(field['operation'] != '', field['operation'], field['kind'])) AS said_operation,
            transform(said_operation, word.operations, word.operations_to, said_operation) AS operation,
            lower(field['provider']) AS said_provider,
            transform(said_provider, word.providers, word.providers_to, said_provider) AS provider,
            lower(field['request_model']) AS request_model,
            lower(field['response_model']) AS response_model,
            has(word.billable, operation) AS billable,
            has(word.exclusive_scopes, ScopeName) AS exclusive_scope,
            tokens(field['input_tokens']) AS input_given,
            tokens(field['input_tokens_exclusive']) AS input_exclusive,
            tokens(field['output_tokens']) AS output_given,
            tokens(field['total_tokens']) AS total_given,
            tokens(field['cache_read_tokens']) AS cache_read,
            tokens(field['cache_write_tokens']) AS cache_write,
            tokens(field['cache_write_5m_tokens']) AS cache_write_5m,
            tokens(field['cache_write_1h_tokens']) AS cache_write_1h,
            tokens(field['reasoning_tokens']) AS reasoning,
            tokens(field['audio_input_tokens']) AS audio_input,
            tokens(field['audio_output_tokens']) AS audio_output,
            arrayMap(
                name -> (name, substring(field[name], 1, 256), reason_against(field[name])),
                arrayFilter(
                    name -> field[name] != '' AND tokens(field[name]) IS NULL,
                    ['input_tokens', 'input_tokens_exclusive', 'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'cache_write_5m_tokens',
                     'cache_write_1h_tokens', 'reasoning_tokens', 'audio_input_tokens', 'audio_output_tokens'])) AS bad_numbers,
            field['usage_source'] AS given_usage_source,
            lower(field['service_tier']) AS service_tier,
            toDecimal64OrNull(field['reported_cost_usd'], 9) AS reported_cost,
            toFloat64OrNull(field['ttft_s']) * 1000 AS ttft_ms,
            lower(field['streaming']) IN ('true', '1') AS streaming,
            field['status'] AS given_status,
            field['error_type'] AS error_type,
            StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR error_type != '' AS failed,
            arrayMap(reason -> transform(lower(reason), word.finish, word.finish_to, reason), strings(field['finish_reasons'])) AS finish_reasons,
            toUInt16(greatest(toUInt16OrZero(field['attempt']), 1)) AS attempt,
            lower(field['cached']) IN ('true', '1') AS cached,
            strings(field['safety_flags']) AS safety_flags,
            ScopeName AS instrumentation,
            ScopeVersion AS sdk_version,
            other,
            with_system(field['system'], field['input']) AS input_text,
            field['output'] AS output_text,
            field['template'] AS template,
            field['template_owner'] AS template_owner,
            field['template_description'] AS template_description
        FROM
        (
            -- 2. Their meaning: field -> value, the best alias first (a lookup takes the first).
            SELECT
                *,
                arrayFilter((value, code) -> code > 0, facts.value, codes) AS known_values,
                arrayFilter(code -> code > 0, codes) AS known_codes,
                mapFromArrays(
                    arrayMap(code -> transform(code, alias.codes, alias.fields, ''), arraySort(known_codes)),
                    arraySort((value, code) -> code, known_values, known_codes)) AS field,
                CAST(arraySlice(arrayMap(
                    (name, value) -> (name, substringUTF8(value, 1, 1024)),
                    arrayFilter((name, code) -> code = 0, facts.name, codes),
                    arrayFilter((value, code) -> code = 0, facts.value, codes)), 1, 128), 'Map(LowCardinality(String), String)') AS other
            FROM
            (
                -- 1. The facts of a span: its attributes, and what JSON attributes contain, with the rank of their alias.
                SELECT
                    *,
                    (mapKeys(SpanAttributes), mapValues(SpanAttributes))::Tuple(name Array(LowCardinality(String)), value Array(String)) AS facts,
                    arrayMap((name, value) -> if(value IN ('', 'null', 'None'), 0, transform(name, alias.attributes, alias.codes, 0)), facts.name, facts.value) AS codes
                FROM otel_traces
            )
        )
        WHERE operation != '' OR request_model != '' OR response_model != '' OR prompt_name != '' OR feature != ''
    )
);
