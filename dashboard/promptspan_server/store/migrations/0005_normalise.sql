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
    problems Array(Tuple(field String, value String)) COMMENT 'values that were set aside'
)
ENGINE = Null;

-- Read from the inside out, by the numbers. The engine analyses this text at every insert, whatever the number of spans: about
-- 0.05 ms for an expression, and again for each use of its name within the SELECT that makes it. Hence many small steps.
CREATE MATERIALIZED VIEW normalised_calls_mv TO normalised_calls AS
WITH
    -- (attributes, ranks) and (words, ours). A rank is three digits of priority, the sign of the reading, and the field, so that
    -- ranks sort as aliases win.
    (
        SELECT (groupArray(attribute), groupArray(concat(leftPad(toString(priority), 3, '0'), reading, field)))
        FROM attribute_aliases FINAL
    ) AS alias,
    (SELECT (groupArray(concat(field, ':', value)), groupArray(canonical)) FROM value_aliases FINAL) AS word_alias,
    (SELECT groupArray(value) FROM value_aliases FINAL WHERE field = 'host') AS host_parts,
    -- What is inside JSON, with the key of the object before each key. Of an array, the first element.
    (pairs -> arrayFlatten(arrayMap(
        pair -> arrayMap(
            member -> (concat(pair.1, '.', member.1), if(startsWith(member.2, '"'), JSONExtractString(member.2), member.2)),
            if(startsWith(pair.2, '['), [('0', JSONExtractRaw(pair.2, 1))], JSONExtractKeysAndValuesRaw(pair.2))),
        arrayFilter(pair -> startsWith(pair.2, '{') OR startsWith(pair.2, '[{'), pairs)))) AS members_of,
    -- A list of strings, however it was written: JSON, OTLP's own JSON (rotel), or one bare word.
    (text -> multiIf(
        startsWith(text, '['), JSONExtract(text, 'Array(String)'),
        startsWith(text, '{"values"'), arrayMap(item -> JSONExtractString(item, 'stringValue'), JSONExtractArrayRaw(text, 'values')),
        arrayFilter(word -> word != '', [trim(BOTH '"' FROM text)]))) AS strings
-- 9. The columns.
SELECT
    -- Clocks that are off get the hour of the insert and keep the rest: stable for the retries of a batch.
    if(
        clock_problem = '', started,
        toStartOfHour(now64(9, 'UTC')) - toIntervalDay(if(clock_problem = 'ancient', 29, 0)) + toIntervalNanosecond(toUnixTimestamp64Nano(started) % 3600000000000)) AS ts,
    duration_ms,
    if(streaming, ttft_ms, NULL) AS ttft_ms,
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
    if(given_version != '', given_version, substring(template_hash, 1, 12)) AS prompt_version,
    template_hash,
    operation,
    provider,
    lower(request_model) AS request_model,
    lower(response_model) AS response_model,
    input_total AS input_tokens,
    cache_read AS cache_read_tokens,
    -- A write whose lifetime nobody recorded has the default lifetime, five minutes.
    coalesce(cache_write_5m, cache_write - least(cache_write, ifNull(cache_write_1h, 0))) AS cache_write_5m_tokens,
    cache_write_1h AS cache_write_1h_tokens,
    audio_input AS audio_input_tokens,
    output_total AS output_tokens,
    reasoning AS reasoning_tokens,
    audio_output AS audio_output_tokens,
    multiIf(
        NOT has_usage, 'missing',
        given_usage_source != '', given_usage_source,
        -- OpenLIT counts words where a stream brought no usage, and does not say so: such spans have no cache counts.
        streaming AND cache_read IS NULL AND position(habits, 'estimates_streams') > 0, 'estimated',
        'provider') AS usage_source,
    service_tier,
    reported_cost_usd,
    -- Inference and embeddings. Logfire's span that only opens a stream has no answer; the log at the stream's end is the call.
    operation IN ('chat', 'text_completion', 'generate_content', 'embeddings') AND NOT opens_stream AS billable,
    streaming,
    multiIf(
        given_status != '', given_status,
        failed, if(error_word != '', error_word, 'error'),
        -- A stream without usage and without a reason to finish did not finish; OpenLLMetry calls it a success.
        streaming AND NOT has_usage AND empty(finish_reasons), 'incomplete',
        'ok') AS status,
    error_type,
    finish_reasons,
    attempt,
    cached,
    safety_flags,
    instrumentation,
    sdk_version,
    if(clock_problem = '', other, mapUpdate(other, map('promptspan.original_ts', toString(started)))) AS attributes,
    input_text,
    output_text,
    template,
    template_owner,
    template_description,
    if(clock_problem = '', bad_numbers, arrayPushBack(bad_numbers, ('ts', toString(started)))) AS problems
FROM
(
    -- 8. What follows from the totals.
    SELECT
        *,
        -- Calls that say no operation, but have usage or an answer, are chats. What only counts tokens has neither.
        multiIf(operation_word != '', operation_word, said_operation != '', said_operation, has_usage OR (response_id != '' AND response_model != ''), 'chat', '') AS operation,
        is_split AND NOT is_log AND NOT failed AND NOT has_usage AND response_id = '' AS opens_stream,
        multiIf(started > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future', started < now64(9, 'UTC') - INTERVAL 30 DAY, 'ancient', '') AS clock_problem,
        multiIf(
            output_reading = '=', said_output + ifNull(reasoning, 0) + ifNull(audio_output, 0),
            said_output IS NULL, total - least(total, input_total),
            said_output) AS output_total
    FROM
    (
        -- 7. Usage is inclusive (GenAI conventions). Counts without the cache get it added: of scopes known for it, of sources that
        -- name the cache beside the input, and of any span whose cache would exceed its input.
        SELECT
            *,
            multiIf(
                input_reading = '=', said_input + cache_total + ifNull(audio_input, 0),
                excludes_cache OR (input_reading = '?' AND cache_is_beside) OR cache_total > said_input, said_input + cache_total,
                said_input) AS input_total,
            -- Some name one model: that of the answer, or of the request if there is no answer. Some write the model of the request
            -- where that of the answer belongs, until there is an answer.
            has_usage OR response_id != '' OR output_text != '' OR field['first_token_at'] != '' OR (NOT failed AND notEmpty(finish_reasons)) AS answered,
            if(said_request_model = '' AND NOT answered, said_model, said_request_model) AS request_model,
            if(said_response_model != '', said_response_model, said_model) AS either_model,
            if(NOT answered AND either_model = request_model, '', either_model) AS response_model,
            multiIf(
                said_error != '', said_error,
                NOT failed, '',
                has(Events.Name, 'exception'), Events.Attributes[indexOf(Events.Name, 'exception')]['exception.type'],
                -- The clients of OpenAI and Anthropic begin their message with the status of the answer.
                extract(error_message, 'Error code: ([0-9]{3})')) AS error_type
        FROM
        (
            -- 6. Values by field.
            SELECT
                Events.Name,
                Events.Attributes,
                field,
                other,
                has_usage,
                is_log,
                toFloat64(duration) / 1e6 AS duration_ms,
                if(is_log, Timestamp - toIntervalNanosecond(duration), Timestamp) AS started,
                TraceId AS trace_id,
                SpanId AS span_id,
                ParentSpanId AS parent_span_id,
                ServiceName AS service,
                ScopeName AS instrumentation,
                ScopeVersion AS sdk_version,
                coalesce(
                    nullIf(ResourceAttributes['deployment.environment.name'], ''),
                    nullIf(ResourceAttributes['deployment.environment'], ''),
                    field['environment']) AS environment,
                if(field['response_id'] = '' AND field['object_id'] LIKE '"resp%', trim(BOTH '"' FROM field['object_id']), field['response_id']) AS response_id,
                field['feature'] AS feature,
                field['tenant'] AS tenant,
                field['user_id'] AS user_id,
                field['session_id'] AS session_id,
                field['prompt_name'] AS prompt_name,
                field['prompt_version'] AS given_version,
                field['template'] AS template,
                field['template_owner'] AS template_owner,
                field['template_description'] AS template_description,
                if(field['template_hash'] = '' AND field['template'] != '', lower(hex(SHA256(field['template']))), field['template_hash']) AS template_hash,
                field['model'] AS said_model,
                -- The name of a span is `{operation} {request.model}` (GenAI conventions): all that there is of some calls that failed.
                if(word['scope_provider'] != '' AND field['operation'] = '' AND field['request_model'] = '', extractGroups(SpanName, '^(chat|text_completion|generate_content|embeddings) ([^ ]+)$'), []) AS named,
                if(field['request_model'] = '', named[2], field['request_model']) AS said_request_model,
                field['response_model'] AS said_response_model,
                if(word['span'] != '', word['span'], word['operation']) AS operation_word,
                if(said['operation'] = '', named[1], said['operation']) AS said_operation,
                -- Where the call went decides over the name of the client library.
                multiIf(
                    word['host'] != '', word['host'], word['provider'] != '', word['provider'],
                    said['provider'] NOT IN ('', 'unknown'), said['provider'], word['span_name'] != '', word['span_name'], word['scope_provider']) AS provider,
                word['scope'] AS habits,
                position(habits, 'splits_streams') > 0 AS is_split,
                position(habits, 'excludes_cache') > 0 AS excludes_cache,
                number['input_tokens'] AS said_input,
                number['output_tokens'] AS said_output,
                number['total_tokens'] AS total,
                number['cache_read_tokens'] AS cache_read,
                number['cache_write_tokens'] AS cache_write,
                number['cache_write_5m_tokens'] AS cache_write_5m,
                number['cache_write_1h_tokens'] AS cache_write_1h,
                ifNull(cache_read, 0) + ifNull(cache_write, 0) AS cache_total,
                number['audio_input_tokens'] AS audio_input,
                number['reasoning_tokens'] AS reasoning,
                number['audio_output_tokens'] AS audio_output,
                reading['input_tokens'] AS input_reading,
                reading['output_tokens'] AS output_reading,
                has(mapValues(reading), '+') AS cache_is_beside,
                field['usage_source'] AS given_usage_source,
                -- `auto` is what one asks for, never what one gets.
                if(lower(field['service_tier']) = 'auto', '', lower(field['service_tier'])) AS service_tier,
                -- A cost that the provider returned. What instrumentations computed stays in `attributes`.
                toDecimal64OrNull(
                    if(field['cost_source'] = 'provider' AND field['cost_currency'] IN ('', 'USD'), field['cost_amount'], field['reported_cost_usd']), 9) AS reported_cost_usd,
                lower(field['streaming']) IN ('true', '1') OR field['first_token_at'] != '' OR is_log AS streaming,
                coalesce(
                    toFloat64OrNull(field['ttft_s']) * 1000,
                    dateDiff('nanosecond', Timestamp, parseDateTime64BestEffortOrNull(trim(BOTH '"' FROM field['first_token_at']), 9, 'UTC')) / 1e6,
                    if(first_chunk = 0, NULL, dateDiff('nanosecond', Timestamp, Events.Timestamp[first_chunk]) / 1e6)) AS ttft_ms,
                field['status'] AS given_status,
                field['error_type'] AS said_error,
                word['error'] AS error_word,
                concat(StatusMessage, field['error_message']) AS error_message,
                StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR said_error != '' OR field['level'] = 'ERROR' AS failed,
                -- One for each choice, where they are recorded one by one: numbered, in the provider's choices or in the messages.
                arrayMap(
                    choice -> JSONExtractString(choice, 'finish_reason'),
                    JSONExtractArrayRaw(multiIf(field['choices'] != '', field['choices'], field['finish_reasons'] = '' AND startsWith(field['output'], '[{'), field['output'], ''))) AS chosen_reasons,
                multiIf(
                    numbered_texts[3] != '', splitByChar('\n', numbered_texts[3]),
                    notEmpty(arrayFilter(reason -> reason != '', chosen_reasons)), chosen_reasons,
                    strings(field['finish_reasons'])) AS said_reasons,
                arrayFilter(reason -> reason != '', arrayMap(
                    -- OpenAI's responses say only that they are complete.
                    reason -> if(
                        reason = 'completed' AND multiSearchAny(field['output'], ['"function_call"', '"tool_call"', '"tool_calls"']), 'tool_calls',
                        transform(concat('finish_reason:', lower(reason)), word_alias.1, word_alias.2, lower(reason))),
                    said_reasons)) AS finish_reasons,
                strings(field['safety_flags']) AS safety_flags,
                toUInt16(greatest(toUInt16OrZero(field['attempt']), 1)) AS attempt,
                lower(field['cached']) = 'true' AS cached,
                arrayFilter((pair, count) -> count IS NULL, CAST(countable, 'Array(Tuple(String, String))'), mapValues(counted)) AS bad_numbers,
                -- System instructions travel apart from the messages: one text again.
                multiIf(
                    field['input'] = '', numbered_texts[1],
                    field['system'] = '', field['input'],
                    startsWith(field['input'], '[{') AND startsWith(field['system'], '['),
                        concat('[{"role":"system","parts":', field['system'], '},', substring(field['input'], 2)),
                    concat(field['system'], '\n', field['input'])) AS input_text,
                if(field['output'] = '', numbered_texts[2], field['output']) AS output_text
            FROM
            (
                -- 5. Nobody calls a model with nothing: all 0 is how some say that they do not know.
                SELECT
                    *,
                    arrayExists(count -> count > 0, mapValues(counted)) AS has_usage,
                    mapFilter((name, count) -> has_usage, counted) AS number,
                    mapApply((kind, text) -> (kind, transform(concat(kind, ':', text), word_alias.1, word_alias.2, '')), said) AS word,
                    if(is_log, toInt64(toFloat64OrZero(field['duration_s']) * 1e9), toInt64(if(Duration > 9223372036854775807, 0, Duration))) AS duration
                FROM
                (
                    -- 4. Tokens are whole numbers from 0 to a billion, NULL for anything else. Words are in lower case.
                    SELECT
                        *,
                        mapApply(
                            (name, text) -> (name, if(toFloat64OrNull(text) <= 1e9, accurateCastOrNull(toFloat64OrNull(text), 'UInt64'), NULL)),
                            countable) AS counted,
                        field['span_type'] = 'log' AS is_log,
                        map(
                            'operation', lower(field['operation']), 'provider', lower(field['provider']),
                            'host', arrayFirst(part -> position(lower(field['host']), part) > 0, host_parts),
                            'scope', ScopeName, 'scope_provider', ScopeName, 'span_name', lower(SpanName), 'span', concat(ScopeName, ' ', lower(SpanName)), 'error', lower(field['error_type'])) AS said
                    FROM
                    (
                        -- 3. Meaning: field -> value, the best alias first (a lookup takes the first).
                        SELECT
                            * EXCEPT (known),
                            mapFromArrays(arrayMap(pair -> substring(pair.1, 5), known), arrayMap(pair -> pair.2, known)) AS field,
                            mapFilter((name, text) -> endsWith(name, '_tokens'), field) AS countable,
                            mapFromArrays(
                                arrayMap(pair -> substring(pair.1, 5), arrayFilter(pair -> endsWith(pair.1, '_tokens'), known)),
                                arrayMap(pair -> substring(pair.1, 4, 1), arrayFilter(pair -> endsWith(pair.1, '_tokens'), known))) AS reading
                        FROM
                        (
                            -- 2. Every fact with the rank of its alias, sorted as they win, and what has no alias.
                            SELECT
                                * EXCEPT (ranks, members),
                                arraySort(arrayFilter(
                                    pair -> length(pair.1) > 4 AND pair.2 NOT IN ('', 'null', 'None', '[]', '{}') AND NOT (endsWith(pair.1, '_tokens') AND startsWith(pair.2, '{')),
                                    arrayConcat(
                                        arrayZip(ranks, mapValues(SpanAttributes)),
                                        arrayMap(member -> (transform(member.1, alias.1, alias.2, ''), member.2), arrayConcat(members, members_of(members)))))) AS known,
                                -- Texts have their own table and lifetime: numbered messages and definitions of tools are not kept here.
                                CAST(arraySlice(
                                    arrayMap(
                                        pair -> (pair.1, substringUTF8(pair.2, 1, 1024)),
                                        arrayFilter(
                                            (pair, rank) -> length(rank) <= 4
                                                AND NOT match(pair.1, '^(gen_ai[.](prompt|completion)[.][0-9]|llm[.](input_messages|output_messages|prompts|choices|tools)[.]|embedding[.]embeddings|logfire[.]json_schema|gen_ai[.]tool[.]definitions)'),
                                            CAST(SpanAttributes, 'Array(Tuple(LowCardinality(String), String))'), ranks)),
                                    1, 128), 'Map(LowCardinality(String), String)') AS other,
                                -- Messages as numbered attributes (older OpenLLMetry, OpenInference): their texts in order, input and output.
                                arrayMap(
                                    pattern -> arrayStringConcat(arrayMap(part -> part.2, arraySort(
                                        part -> toUInt32OrZero(extract(part.1, '[.]([0-9]+)[.]')),
                                        arrayFilter(part -> match(part.1, pattern), CAST(SpanAttributes, 'Array(Tuple(String, String))')))), '\n'),
                                    if(arrayExists(name -> match(name, '^(gen_ai|llm)[.][a-z_]+[.][0-9]'), mapKeys(SpanAttributes)),
                                        ['^(gen_ai[.]prompt|llm[.]input_messages)[.][0-9]+[.].*(content|text)$', '^(gen_ai[.]completion|llm[.]output_messages)[.][0-9]+[.].*(content|text)$', '^gen_ai[.]completion[.][0-9]+[.]finish_reason$'],
                                        [])) AS numbered_texts,
                                arrayFirstIndex(name -> name IN ('First Token Stream Event', 'gen_ai.content.completion.chunk', 'llm.content.completion.chunk'), Events.Name) AS first_chunk
                            FROM
                            (
                                SELECT
                                    * EXCEPT (outer_members),
                                    arrayConcat(outer_members, members_of(outer_members)) AS members
                                FROM
                                (
                                    SELECT
                                        *,
                                        members_of(arrayFilter((pair, rank) -> substring(rank, 4, 1) = '*', CAST(SpanAttributes, 'Array(Tuple(String, String))'), ranks)) AS outer_members
                                    FROM
                                    (
                                        -- 1. The attributes of a span and the ranks of their aliases; then, what is inside JSON, in three steps.
                                        SELECT
                                            Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, ResourceAttributes, ScopeName, ScopeVersion, SpanAttributes,
                                            Duration, StatusCode, StatusMessage, Events.Timestamp, Events.Name, Events.Attributes,
                                            arrayMap(name -> transform(name, alias.1, alias.2, ''), mapKeys(SpanAttributes)) AS ranks
                                        FROM otel_traces
                                        WHERE SpanName != 'gen_ai.evaluation.result' -- a score: 0009
                                    )
                                )
                            )
                        )
                    )
                )
            )
        )
    )
)
WHERE operation != '' OR request_model != '' OR response_model != '' OR prompt_name != '' OR feature != ''
-- Two searches for better plans that find none here took half of the time that a small insert takes.
SETTINGS query_plan_enable_optimizations = 0, optimize_and_compare_chain = 0;
