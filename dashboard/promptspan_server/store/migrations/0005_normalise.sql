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
-- The engine analyses this text at every insert: an expression costs about 0.05 ms, whatever the number of spans.
CREATE MATERIALIZED VIEW normalised_calls_mv TO normalised_calls AS
WITH
    -- Aliases as (attribute, rank): three digits of priority, the field, and * if the value is JSON to be taken apart.
    (
        SELECT (groupArray(attribute), groupArray(concat(leftPad(toString(priority), 3, '0'), field, if(is_json, '*', ''))))
        FROM attribute_aliases FINAL
    ) AS alias,
    (SELECT (groupArray(concat(field, ':', value)), groupArray(canonical)) FROM value_aliases FINAL WHERE field != 'host') AS word_alias,
    (SELECT groupArray((value, canonical)) FROM value_aliases FINAL WHERE field = 'host') AS host_alias,
    -- Members of a JSON object, with its key before theirs; of an array, its first element.
    ((key, json) -> arrayMap(
        member -> (concat(key, '.', member.1), if(startsWith(member.2, '"'), JSONExtractString(member.2), member.2)),
        if(startsWith(json, '['), [('0', JSONExtractRaw(json, 1))], JSONExtractKeysAndValuesRaw(json)))) AS members_of,
    (pairs -> arrayFlatten(arrayMap(
        pair -> members_of(pair.1, pair.2),
        arrayFilter(pair -> startsWith(pair.2, '{') OR startsWith(pair.2, '[{'), pairs)))) AS inner_members_of,
    -- A list of strings, however it was written: JSON, OTLP's own JSON (rotel), or one bare word.
    (text -> multiIf(
        startsWith(text, '['), JSONExtract(text, 'Array(String)'),
        startsWith(text, '{"values"'), arrayMap(item -> JSONExtractString(item, 'stringValue'), JSONExtractArrayRaw(text, 'values')),
        arrayFilter(word -> word != '', [trim(BOTH '"' FROM text)]))) AS strings,
    -- Messages that came as numbered attributes (older OpenLLMetry and OpenInference): their texts, in order.
    ((attributes, pattern) -> arrayStringConcat(
        arrayMap(
            part -> part.2,
            arraySort(
                part -> toUInt32OrZero(extract(part.1, '[.]([0-9]+)[.]')),
                arrayFilter(part -> match(part.1, pattern), CAST(attributes, 'Array(Tuple(String, String))')))),
        '\n')) AS numbered_texts
SELECT
    ts,
    duration_ms,
    if(streaming, ttft, NULL) AS ttft_ms,
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
    if(no_usage, NULL, coalesce(number['cache_write_5m_tokens'], cache_write - least(cache_write, ifNull(number['cache_write_1h_tokens'], 0)))) AS cache_write_5m_tokens,
    if(no_usage, NULL, number['cache_write_1h_tokens']) AS cache_write_1h_tokens,
    if(no_usage, NULL, audio_input) AS audio_input_tokens,
    if(no_usage, NULL, output_total) AS output_tokens,
    if(no_usage, NULL, reasoning) AS reasoning_tokens,
    if(no_usage, NULL, audio_output) AS audio_output_tokens,
    multiIf(
        no_usage, 'missing',
        field['usage_source'] != '', field['usage_source'],
        -- OpenLIT counts words where a stream brought no usage, and does not say so: such spans have no cache counts.
        streaming AND position(habits, 'estimates_streams') > 0 AND cache_read IS NULL, 'estimated',
        'provider') AS usage_source,
    lower(field['service_tier']) AS service_tier,
    -- A cost that the provider returned. What instrumentations computed stays in `attributes`.
    toDecimal64OrNull(
        if(field['reported_cost_usd'] = '' AND field['cost_source'] = 'provider' AND field['cost_currency'] IN ('', 'USD'), field['cost_amount'], field['reported_cost_usd']),
        9) AS reported_cost_usd,
    is_model_call AND NOT opens_stream AS billable,
    streaming,
    multiIf(
        field['status'] != '', field['status'],
        failed, if(error_word != '', error_word, 'error'),
        -- A stream without usage and without a reason to finish did not finish; OpenLLMetry calls it a success.
        billable AND streaming AND no_usage AND empty(finish_reasons), 'incomplete',
        'ok') AS status,
    error_type,
    finish_reasons,
    toUInt16(greatest(toUInt16OrZero(field['attempt']), 1)) AS attempt,
    lower(field['cached']) IN ('true', '1') AS cached,
    strings(field['safety_flags']) AS safety_flags,
    instrumentation,
    sdk_version,
    if(clock = '', other, mapUpdate(other, map('promptspan.original_ts', toString(started)))) AS attributes,
    input_text,
    output_text,
    template,
    field['template_owner'] AS template_owner,
    field['template_description'] AS template_description,
    arrayConcat(bad_numbers, if(clock = '', [], [('ts', toString(started), clock)])) AS problems
FROM
(
    -- 4. What follows from the typed values.
    SELECT
        *,
        -- Usage is inclusive (GenAI conventions). Counts without the cache get it added: of scopes known for it, of sources that
        -- name what remains beside it, and of any span whose cache would exceed its input.
        ifNull(cache_read, 0) + ifNull(cache_write, 0) AS cache_total,
        multiIf(
            said_input IS NULL, remaining_input + cache_total + ifNull(number['audio_input_tokens_beside_input'], 0),
            position(habits, 'excludes_cache') > 0 OR cache_total > said_input, said_input + cache_total,
            said_input) AS input_total,
        coalesce(
            number['output_tokens'],
            number['output_tokens_beside_parts'] + ifNull(number['reasoning_tokens_beside_output'], 0)
                + ifNull(number['audio_output_tokens_beside_output'], 0),
            if(number['total_tokens'] >= input_total, number['total_tokens'] - input_total, NULL)) AS output_total,
        -- Nobody calls a model with nothing: 0 in and 0 out is how some say that they do not know.
        ifNull(input_total, 0) + ifNull(output_total, 0) = 0 AS no_usage,
        -- Logfire's span that opens a stream has no answer; the log at the stream's end is the call.
        position(habits, 'splits_streams') > 0 AND NOT is_log AND NOT failed AND no_usage AND response_id = '' AS opens_stream,
        -- Calls that say no operation but have usage or an answer are chats; what counts tokens or files has neither.
        multiIf(operation_word != '', operation_word, said_operation != '', said_operation, no_usage AND response_id = '', '', 'chat') AS operation,
        operation IN ('chat', 'text_completion', 'generate_content', 'embeddings') AS is_model_call,
        multiIf(
            clock = '', started,
            clock = 'future', toStartOfHour(now) + toIntervalNanosecond(toUnixTimestamp64Nano(started) % 3600000000000),
            toStartOfDay(now) - INTERVAL 29 DAY + toIntervalNanosecond(toUnixTimestamp64Nano(started) % 86400000000000)) AS ts
    FROM
    (
        -- 3. Typed values.
        SELECT
            field,
            number,
            other,
            word['scope'] AS habits,
            field['span_type'] = 'log' AS is_log,
            if(is_log, toFloat64OrZero(field['duration_s']) * 1000, if(Duration > 9223372036854775807, 0, Duration / 1e6)) AS duration_ms,
            if(is_log, Timestamp - toIntervalNanosecond(toInt64(duration_ms * 1e6)), Timestamp) AS started,
            -- Clocks that are off get the hour or the day of the insert and keep the rest: stable for the retries of a batch.
            now64(9, 'UTC') AS now,
            multiIf(started > now + INTERVAL 1 HOUR, 'future', started < now - INTERVAL 30 DAY, 'ancient', '') AS clock,
            coalesce(
                toFloat64OrNull(field['ttft_s']) * 1000,
                toFloat64OrNull(field['ttft_ms']),
                dateDiff('nanosecond', Timestamp, parseDateTime64BestEffortOrNull(trim(BOTH '"' FROM field['first_token_at']), 9, 'UTC')) / 1e6,
                dateDiff('nanosecond', Timestamp, nullIf(
                    Events.Timestamp[arrayFirstIndex(name -> name IN ('First Token Stream Event', 'gen_ai.content.completion.chunk', 'llm.content.completion.chunk'), Events.Name)],
                    fromUnixTimestamp64Nano(0))) / 1e6) AS ttft,
            TraceId AS trace_id,
            SpanId AS span_id,
            ParentSpanId AS parent_span_id,
            field['response_id'] AS response_id,
            ServiceName AS service,
            coalesce(
                nullIf(ResourceAttributes['deployment.environment.name'], ''),
                nullIf(ResourceAttributes['deployment.environment'], ''),
                field['environment']) AS environment,
            field['feature'] AS feature,
            field['tenant'] AS tenant,
            field['user_id'] AS user_id,
            field['session_id'] AS session_id,
            field['prompt_name'] AS prompt_name,
            field['template'] AS template,
            multiIf(field['template_hash'] != '', field['template_hash'], template != '', lower(hex(SHA256(template))), '') AS template_hash,
            if(field['prompt_version'] != '', field['prompt_version'], substring(template_hash, 1, 12)) AS prompt_version,
            said['operation'] AS said_operation,
            word['operation'] AS operation_word,
            -- Where the call went decides over the name of the client library.
            arrayFirst(pair -> position(said['host'], pair.1) > 0, host_alias).2 AS host_provider,
            multiIf(host_provider != '', host_provider, word['provider'] != '', word['provider'], said['provider'] = 'unknown', '', said['provider']) AS provider,
            StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR field['error_type'] != '' OR field['level'] = 'ERROR' AS failed,
            word['error'] AS error_word,
            multiIf(
                field['error_type'] != '', field['error_type'],
                NOT failed, '',
                has(Events.Name, 'exception'), Events.Attributes[indexOf(Events.Name, 'exception')]['exception.type'],
                -- The clients of OpenAI and Anthropic begin their message with the status of the answer.
                extract(concat(StatusMessage, field['error_message']), 'Error code: ([0-9]{3})')) AS error_type,
            -- Some name one model: that of the answer, or of the request if there is no answer.
            lower(if(field['request_model'] = '' AND failed, field['model'], field['request_model'])) AS request_model,
            lower(if(field['response_model'] = '' AND NOT failed, field['model'], field['response_model'])) AS response_model,
            lower(field['streaming']) IN ('true', '1') OR field['first_token_at'] != '' OR is_log AS streaming,
            arrayMap(
                reason -> transform(concat('finish_reason:', lower(reason)), word_alias.1, word_alias.2, lower(reason)),
                strings(if(field['finish_reasons'] = '' AND position(field['output'], '"finish_reason"') > 0, JSONExtractString(field['output'], 1, 'finish_reason'), field['finish_reasons']))) AS finish_reasons,
            coalesce(number['cache_read_tokens'], number['cache_read_tokens_beside_input']) AS cache_read,
            coalesce(
                number['cache_write_tokens'], number['cache_write_tokens_beside_input'],
                number['cache_write_5m_tokens'] + ifNull(number['cache_write_1h_tokens'], 0), number['cache_write_1h_tokens']) AS cache_write,
            coalesce(number['audio_input_tokens'], number['audio_input_tokens_beside_input']) AS audio_input,
            coalesce(number['reasoning_tokens'], number['reasoning_tokens_beside_output']) AS reasoning,
            coalesce(number['audio_output_tokens'], number['audio_output_tokens_beside_output']) AS audio_output,
            -- A provider's own input_tokens: Anthropic names its cache counts as beside it, OpenAI as details of it.
            mapContains(number, 'cache_read_tokens_beside_input') OR mapContains(number, 'cache_write_tokens_beside_input') AS names_cache_beside,
            coalesce(number['input_tokens'], if(names_cache_beside, NULL, number['input_tokens_as_provider'])) AS said_input,
            coalesce(number['input_tokens_beside_parts'], number['input_tokens_as_provider']) AS remaining_input,
            arrayMap(
                (name, text) -> (name, substringUTF8(text, 1, 256), multiIf(
                    isNaN(ifNull(toFloat64OrNull(text), nan)), 'not a number', startsWith(text, '-'), 'negative', toFloat64OrZero(text) > 1e9, 'absurd', 'not whole')),
                arrayFilter((name, count) -> count IS NULL AND endsWith(name, '_tokens'), mapKeys(number), mapValues(number)),
                arrayFilter((text, name, count) -> count IS NULL AND endsWith(name, '_tokens'), mapValues(field), mapKeys(number), mapValues(number))) AS bad_numbers,
            ScopeName AS instrumentation,
            ScopeVersion AS sdk_version,
            -- System instructions travel apart from the messages: one text again.
            multiIf(
                field['input'] = '' AND numbered, numbered_texts(SpanAttributes, '^(gen_ai[.]prompt|llm[.]input_messages)[.][0-9]+[.].*(content|text)$'),
                field['system'] = '', field['input'],
                startsWith(field['input'], '[{') AND startsWith(field['system'], '['),
                    concat('[{"role":"system","parts":', field['system'], '},', substring(field['input'], 2)),
                concat(field['system'], '\n', field['input'])) AS input_text,
            if(field['output'] = '' AND numbered, numbered_texts(SpanAttributes, '^(gen_ai[.]completion|llm[.]output_messages)[.][0-9]+[.].*(content|text)$'), field['output']) AS output_text
        FROM
        (
            -- 2. Their meaning: field -> value, the best alias first (a lookup takes the first).
            SELECT
                *,
                arraySort(arrayFilter(
                    pair -> pair.1 NOT IN ('', '000*') AND pair.2 NOT IN ('', 'null', 'None', '[]', '{}'),
                    arrayConcat(
                        arrayZip(ranks, mapValues(SpanAttributes)),
                        arrayMap(member -> (transform(member.1, alias.1, alias.2, ''), member.2), members)))) AS known,
                mapFromArrays(arrayMap(pair -> trim(TRAILING '*' FROM substring(pair.1, 4)), known), arrayMap(pair -> pair.2, known)) AS field,
                -- Numbers of tokens: whole, from 0 to a billion; NULL for anything else.
                mapApply(
                    (name, text) -> (name, if(toFloat64OrNull(text) <= 1e9, accurateCastOrNull(toFloat64OrNull(text), 'UInt64'), NULL)),
                    field) AS number,
                -- Words in lower case, and ours for them.
                map(
                    'operation', lower(field['operation']), 'provider', lower(field['provider']), 'host', lower(field['host']),
                    'scope', ScopeName, 'error', lower(field['error_type'])) AS said,
                mapApply((kind, text) -> (kind, transform(concat(kind, ':', text), word_alias.1, word_alias.2, '')), said) AS word,
                -- What has no column. Texts have their own table and lifetime: they are never here.
                CAST(arraySlice(
                    arrayMap(
                        pair -> (pair.1, substringUTF8(pair.2, 1, 1024)),
                        arrayFilter(
                            (pair, rank) -> rank IN ('', '000*')
                                AND NOT match(pair.1, '^(gen_ai[.](prompt|completion)[.][0-9]|llm[.](input_messages|output_messages|prompts|choices|tools)[.]|embedding[.]embeddings|logfire[.]json_schema|gen_ai[.]tool[.]definitions)'),
                            CAST(SpanAttributes, 'Array(Tuple(LowCardinality(String), String))'), ranks)),
                    1, 128), 'Map(LowCardinality(String), String)') AS other
            FROM
            (
                -- 1. The facts of a span: its attributes with the rank of their alias, and what is inside JSON.
                SELECT
                    *,
                    arrayMap(name -> transform(name, alias.1, alias.2, ''), mapKeys(SpanAttributes)) AS ranks,
                    arrayExists(rank -> endsWith(rank, '*'), ranks) AS has_json,
                    arrayExists(name -> match(name, '^(gen_ai[.](prompt|completion)|llm[.](input|output)_messages)[.][0-9]'), mapKeys(SpanAttributes)) AS numbered,
                    if(has_json, inner_members_of(arrayFilter((pair, rank) -> endsWith(rank, '*'), CAST(SpanAttributes, 'Array(Tuple(String, String))'), ranks)), []) AS outer_members,
                    if(has_json, inner_members_of(outer_members), []) AS middle_members,
                    arrayConcat(outer_members, middle_members, if(has_json, inner_members_of(middle_members), [])) AS members
                FROM otel_traces
            )
        )
    )
)
WHERE operation != '' OR request_model != '' OR response_model != '' OR prompt_name != '' OR feature != '';
