-- Every instrumentation's spans, read once, into the one form behind llm_calls, llm_texts, prompt_templates and quarantine.
-- The engine analyses this text at every insert, whatever the number of spans: about 0.02 ms for an expression, again for each use of
-- its name within the SELECT that makes it, and more the deeper SELECTs are nested. Hence two views of few steps each, and a
-- name that is used often is made one step before.

-- What the views below ask of the aliases, each in one value. (They name these views, because the text of a subquery is analysed
-- wherever its value is used.) Aliases are in the order in which they win, those without a field first; a rank is a place in it.
CREATE VIEW alias_ranking AS
SELECT CAST(
    (groupArray(attribute), arrayMap(place -> toUInt16(place), arrayEnumerate(groupArray(attribute))), groupArray(field), groupArray(reading), countIf(field = '')),
    'Tuple(names Array(String), ranks Array(UInt16), fields Array(String), signs Array(String), fieldless UInt16)') AS ranking
FROM (SELECT attribute, field, reading FROM attribute_aliases FINAL ORDER BY field != '', priority, reading, attribute);

CREATE VIEW word_aliases AS
SELECT CAST(
    (groupArray(concat(field, ':', value)), groupArray(canonical), groupArrayIf(value, field = 'host')),
    'Tuple(words Array(String), ours Array(String), hosts Array(String))') AS aliases
FROM value_aliases FINAL;

-- First, what a span says, by our names. No storage: the second view reads it.
CREATE TABLE span_facts
(
    started DateTime64(9, 'UTC') COMMENT 'as sent',
    trace_id String,
    span_id String,
    parent_span_id String,
    span_name LowCardinality(String),
    service LowCardinality(String),
    instrumentation LowCardinality(String),
    sdk_version LowCardinality(String),
    resource_environment String,
    duration UInt64 COMMENT 'ns',
    status_code LowCardinality(String),
    status_message String,
    exception_type String,
    choice_reason String COMMENT 'finish reason in an event',
    first_chunk_at Nullable(DateTime64(9, 'UTC')) COMMENT 'of the event that says so',
    field Map(String, String) COMMENT 'value by field of ours, the best alias first: a lookup takes the first',
    counts Map(String, String) COMMENT 'those of field that are token counts',
    signs Array(String) COMMENT 'attribute_aliases.reading of each of field',
    other Map(LowCardinality(String), String) COMMENT 'attributes without an alias',
    numbered_texts Array(String) COMMENT 'input, output and finish reasons, from messages that came as numbered attributes'
)
ENGINE = Null;

CREATE MATERIALIZED VIEW span_facts_mv TO span_facts AS
WITH
    (SELECT ranking FROM alias_ranking) AS alias,
    (name -> transform(name, alias.names, alias.ranks, toUInt16(0))) AS rank_of,
    -- What is inside JSON, with the key of the object before each key. Of an array, the first element.
    (pairs -> arrayFlatten(arrayMap(
        pair -> arrayMap(
            member -> (concat(pair.1, '.', member.1), if(startsWith(member.2, '"'), JSONExtractString(member.2), member.2)),
            if(startsWith(pair.2, '['), [('0', JSONExtractRaw(pair.2, 1))], JSONExtractKeysAndValuesRaw(pair.2))),
        arrayFilter(pair -> startsWith(pair.2, '{') OR startsWith(pair.2, '[{'), pairs)))) AS members_of
-- 3. Meaning.
SELECT
    started, trace_id, span_id, parent_span_id, span_name, service, instrumentation, sdk_version, resource_environment, duration, status_code, status_message,
    exception_type, choice_reason, first_chunk_at,
    mapFromArrays(arrayMap(fact -> alias.fields[fact.1], facts), arrayMap(fact -> fact.2, facts)) AS field,
    mapFilter((name, text) -> endsWith(name, '_tokens'), field) AS counts,
    arrayMap(fact -> alias.signs[fact.1], facts) AS signs,
    other,
    numbered_texts
FROM
(
    -- 2. Every fact with the rank of its alias, sorted as they win, and what has no alias.
    SELECT
        * EXCEPT (pairs, ranks, members),
        arraySort(arrayFilter(
            fact -> fact.1 > 0 AND fact.2 NOT IN ('', 'null', 'None', '[]', '{}') AND NOT (startsWith(fact.2, '{') AND endsWith(alias.fields[fact.1], '_tokens')),
            arrayConcat(
                arrayZip(ranks, pairs.2),
                arrayMap(member -> (rank_of(member.1), member.2), arrayConcat(members, members_of(members)))))) AS facts,
        -- Texts have their own table and lifetime: numbered messages and definitions of tools are not kept here.
        CAST(arraySlice(
            arrayMap(
                pair -> (pair.1, substringUTF8(pair.2, 1, 1024)),
                arrayFilter(
                    (pair, rank) -> rank <= alias.fieldless
                        AND NOT match(pair.1, '^(gen_ai[.](prompt|completion)[.][0-9]|llm[.](input_messages|output_messages|prompts|choices|tools)[.]|embedding[.]embeddings|logfire[.]json_schema|gen_ai[.]tool[.]definitions)'),
                    pairs, ranks)),
            1, 128), 'Map(LowCardinality(String), String)') AS other,
        -- Messages as numbered attributes (older OpenLLMetry, OpenInference): their texts in order, input and output.
        arrayMap(
            pattern -> arrayStringConcat(arrayMap(part -> part.2, arraySort(
                part -> toUInt32OrZero(extract(part.1, '[.]([0-9]+)[.]')),
                arrayFilter(part -> match(part.1, pattern), CAST(pairs, 'Array(Tuple(String, String))')))), '\n'),
            if(arrayExists(name -> match(name, '^(gen_ai|llm)[.][a-z_]+[.][0-9]'), pairs.1),
                ['^(gen_ai[.]prompt|llm[.]input_messages)[.][0-9]+[.].*(content|text)$', '^(gen_ai[.]completion|llm[.]output_messages)[.][0-9]+[.].*(content|text)$', '^gen_ai[.]completion[.][0-9]+[.]finish_reason$'],
                [])) AS numbered_texts
    FROM
    (
        -- 1. The attributes of a span, the ranks of their aliases, and the members of those that are JSON.
        SELECT
            Timestamp AS started,
            TraceId AS trace_id,
            SpanId AS span_id,
            ParentSpanId AS parent_span_id,
            SpanName AS span_name,
            ServiceName AS service,
            ScopeName AS instrumentation,
            ScopeVersion AS sdk_version,
            coalesce(nullIf(ResourceAttributes['deployment.environment.name'], ''), ResourceAttributes['deployment.environment']) AS resource_environment,
            -- An end before the start wraps around.
            if(Duration > 9223372036854775807, 0, Duration) AS duration,
            StatusCode AS status_code,
            StatusMessage AS status_message,
            Events.Attributes[indexOf(Events.Name, 'exception')]['exception.type'] AS exception_type,
            -- The answer as an event (conventions 1.27 to 1.36).
            Events.Attributes[indexOf(Events.Name, 'gen_ai.choice')]['finish_reason'] AS choice_reason,
            nullIf(Events.Timestamp[arrayFirstIndex(name -> name IN ('First Token Stream Event', 'gen_ai.content.completion.chunk', 'llm.content.completion.chunk'), Events.Name)], 0) AS first_chunk_at,
            CAST(SpanAttributes, 'Array(Tuple(LowCardinality(String), String))') AS pairs,
            arrayMap(name -> rank_of(name), mapKeys(SpanAttributes)) AS ranks,
            members_of(arrayMap(
                -- Some write a dictionary as Python prints it; LangChain's result and Vercel's metadata have the provider's answer deep within.
                pair -> (pair.1, multiIf(
                    startsWith(pair.2, '{\''), replaceRegexpAll(replaceAll(pair.2, '\'', '"'), ': (None|True|False)', ': null'),
                    startsWith(pair.2, '{"generations"'), JSONExtractRaw(pair.2, 'generations', 1, 1, 'message', 'kwargs', 'response_metadata'),
                    startsWith(pair.2, '{"anthropic":'), JSONExtractRaw(pair.2, 'anthropic'),
                    pair.2)),
                arrayFilter((pair, rank) -> alias.signs[rank] = '*', pairs, ranks))) AS outer_members,
            arrayConcat(outer_members, members_of(outer_members)) AS members
        FROM otel_traces
        WHERE SpanName != 'gen_ai.evaluation.result' -- a score: 0009
    )
)
-- Two searches for better plans that find none here took half of the time that a small insert takes.
SETTINGS query_plan_enable_optimizations = 0, optimize_and_compare_chain = 0;

-- Second, the columns.
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
    tags Array(LowCardinality(String)),
    output_sketch Nullable(UInt64),
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

CREATE MATERIALIZED VIEW normalised_calls_mv TO normalised_calls AS
WITH
    (SELECT aliases FROM word_aliases) AS alias,
    -- A list of strings, however it was written: JSON, OTLP's own JSON (rotel), or one bare word.
    (text -> multiIf(
        startsWith(text, '['), JSONExtract(text, 'Array(String)'),
        startsWith(text, '{"values"'), arrayMap(item -> JSONExtractString(item, 'stringValue'), JSONExtractArrayRaw(text, 'values')),
        arrayFilter(word -> word != '', [trim(BOTH '"' FROM text)]))) AS strings,
    multiIf(started > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future', started < now64(9, 'UTC') - INTERVAL 30 DAY, 'ancient', '') AS clock_problem,
    -- Some name one model: that of the answer, or of the request if there is no answer. Some write the model of the request where
    -- that of the answer belongs, until there is an answer.
    has_usage OR response_id != '' OR first_token_at != '' OR (NOT failed AND (output_text != '' OR notEmpty(finish_reasons))) AS answered,
    if(said_request_model = '' AND NOT asks_unknown AND (model_is_asked OR NOT answered), said_model, said_request_model) AS asked_model,
    if(NOT answered AND either_model = asked_model, '', either_model) AS answering_model,
    -- The sketch of an answer (sdk/promptspan/_sketch.py), where text came without one: of the words at its beginning that have four
    -- letters, the groups. Of messages the texts, whatever the instrumentation; not what models think or tools answer.
    (messages -> arrayStringConcat(arrayMap(
        part -> JSONExtractString(concat('["', part[2], '"]'), 1),
        arrayFilter(
            part -> part[1] NOT IN ('reasoning', 'thinking', 'tool_call_response'),
            extractAllGroupsVertical(messages, '(?:"type": ?"([^"]*)", ?)?"(?:content|text)": ?"((?:[^"\\\\]|\\\\u[0-9a-fA-F]{4}|\\\\[^u])*)'))), '\n')) AS said_in,
    (text -> arrayReduce('groupBitOr', arrayMap(
        word -> bitShiftLeft(toUInt64(1), CRC32(substring(word, 1, 9)) % 64),
        arrayFilter(word -> length(word) >= 4, splitByNonAlpha(lower(translate(substring(text, 1, 512), '0123456789~', '           '))))))) AS groups_of,
    if(output_groups = 0, groups_of(if(match(output_beginning, '^[\\[{]'), said_in(output_beginning), output_beginning)), output_groups) AS sketched
-- 3. The columns.
SELECT
    -- Clocks that are off get the hour of the insert and keep the rest: stable for the retries of a batch.
    if(
        clock_problem = '', started,
        toStartOfHour(now64(9, 'UTC')) - toIntervalDay(if(clock_problem = 'ancient', 29, 0)) + toIntervalNanosecond(toUnixTimestamp64Nano(started) % 3600000000000)) AS ts,
    duration_ms,
    if(streaming, said_ttft_ms, NULL) AS ttft_ms,
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
    -- Calls that say no operation, but have usage or an answer, are chats. What only counts tokens has neither.
    multiIf(operation_word != '', operation_word, said_operation != '', said_operation, has_usage OR (response_id != '' AND answering_model != ''), 'chat', '') AS operation,
    provider,
    lower(asked_model) AS request_model,
    lower(answering_model) AS response_model,
    -- Usage is inclusive (GenAI conventions). Counts without the cache get it added: of scopes known for it, of sources that name
    -- the cache beside the input, and of any span whose cache would exceed its input.
    multiIf(
        input_sign = '=', said_input + cache_total + ifNull(audio_input_tokens, 0),
        excludes_cache OR (input_sign = '?' AND cache_is_beside) OR cache_total > said_input, said_input + cache_total,
        said_input) AS input_tokens,
    cache_read_tokens,
    -- A write whose lifetime nobody recorded has the default lifetime, five minutes.
    coalesce(said_cache_write_5m, cache_write - least(cache_write, ifNull(cache_write_1h_tokens, 0))) AS cache_write_5m_tokens,
    cache_write_1h_tokens,
    audio_input_tokens,
    -- The output contains the reasoning. Gemini's candidates do not: of scopes known to write them, of spans whose total says so, and
    -- of any whose reasoning would exceed its output.
    multiIf(
        output_sign = '=', said_output + ifNull(reasoning_tokens, 0) + ifNull(audio_output_tokens, 0),
        said_output IS NULL, total - least(total, input_tokens),
        excludes_reasoning OR reasoning_tokens > said_output OR total = input_tokens + said_output + reasoning_tokens, said_output + ifNull(reasoning_tokens, 0),
        said_output) AS output_tokens,
    -- Where thoughts are in the total alone, they are what is left of it.
    if(excludes_reasoning AND said_reasoning IS NULL AND total > input_tokens + said_output, total - input_tokens - said_output, said_reasoning) AS reasoning_tokens,
    audio_output_tokens,
    multiIf(
        NOT has_usage, 'missing',
        given_usage_source != '', given_usage_source,
        -- OpenLIT counts words where a stream brought no usage, and does not say so: such spans have no cache counts.
        streaming AND cache_read_tokens IS NULL AND position(habits, 'estimates_streams') > 0, 'estimated',
        'provider') AS usage_source,
    service_tier,
    reported_cost_usd,
    -- Inference and embeddings. Logfire's span that only opens a stream has no answer; the log at the stream's end is the call.
    operation IN ('chat', 'text_completion', 'generate_content', 'embeddings') AND NOT opens_stream AS billable,
    streaming,
    multiIf(
        given_status != '', given_status,
        failed, transform(concat('error:', lower(error_type)), alias.words, alias.ours, 'error'),
        -- A stream without usage and without a reason to finish did not finish; OpenLLMetry calls it a success. Anthropic's tell the
        -- input at their beginning: the reason decides, where it is always recorded.
        streaming AND empty(finish_reasons) AND framework = '' AND (NOT has_usage OR position(habits, 'ends_streams') > 0), 'incomplete',
        'ok') AS status,
    multiIf(
        said_error != '', said_error,
        NOT failed, '',
        exception_type != '', exception_type,
        -- The clients of OpenAI and Anthropic begin their message with the status of the answer.
        extract(error_message, 'Error code: ([0-9]{3})')) AS error_type,
    finish_reasons,
    attempt,
    cached,
    safety_flags,
    tags,
    if(bitCount(sketched) < 8, NULL, sketched) AS output_sketch,
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
    -- 2. Values by field.
    SELECT
        other,
        has_usage,
        is_log,
        failed,
        exception_type,
        -- A log at the end of a call says how long it took.
        if(is_log, toInt64(toFloat64OrZero(field['duration_s']) * 1e9), toInt64(duration)) AS lasted,
        toFloat64(lasted) / 1e6 AS duration_ms,
        if(is_log, span_facts.started - toIntervalNanosecond(lasted), span_facts.started) AS started,
        trace_id,
        span_id,
        parent_span_id,
        service,
        instrumentation,
        sdk_version,
        if(resource_environment != '', resource_environment, field['environment']) AS environment,
        multiIf(
            field['response_id'] = field['own_id'], '',
            field['response_id'] = '' AND field['object_id'] LIKE '"resp%', trim(BOTH '"' FROM field['object_id']),
            -- LiteLLM's wrapping of a provider's id.
            startsWith(field['response_id'], 'resp_bGl0ZWxsbTp'), extract(tryBase64Decode(substring(field['response_id'], 6)), 'response_id:(.+)$'),
            field['response_id']) AS response_id,
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
        word['scope'] AS habits,
        -- LiteLLM asks for `provider/model`.
        if(position(habits, 'prefixes_models') > 0, if(field['request_model'] = '', field['model'], field['request_model']), field['prefixed_model']) AS prefixed,
        if(position(prefixed, '/') = 0, '', lower(splitByChar('/', prefixed)[1])) AS prefix,
        position(habits, 'prefixes_models') > 0 AND position(field['model'], '/') > 0 AS model_is_prefixed,
        model_is_prefixed OR position(habits, 'names_asked') > 0 AS model_is_asked,
        if(model_is_prefixed, substring(field['model'], position(field['model'], '/') + 1), field['model']) AS said_model,
        -- Parameters with the id of an answer are those of the answer.
        field['answer_parameters'] != '' AS asks_unknown,
        multiIf(
            asks_unknown, '',
            field['request_model'] = '', named[2],
            prefix != '' AND prefixed = field['request_model'], substring(prefixed, length(prefix) + 2),
            trim(BOTH '"' FROM field['request_model'])) AS said_request_model,
        multiIf(field['response_model'] != '', field['response_model'], model_is_asked, '', field['model']) AS either_model,
        multiIf(
            word['span'] != '', word['span'], word['method'] != '', word['method'], word['scope_operation'] != '', word['scope_operation'],
            word['operation']) AS operation_word,
        if(field['operation'] = '', named[1], lower(field['operation'])) AS said_operation,
        -- Where the call went decides over the name of the client library.
        multiIf(
            word['host'] != '', word['host'], word['provider'] NOT IN ('', 'unknown'), word['provider'],
            said_provider NOT IN ('', 'unknown') AND word['provider'] = '', said_provider, word['span_name'] != '', word['span_name'],
            word['scope_provider'] != '', word['scope_provider'],
            transform(concat('provider:', prefix), alias.words, alias.ours, prefix)) AS provider,
        position(habits, 'excludes_cache') > 0 AS excludes_cache,
        position(habits, 'excludes_reasoning') > 0 AS excludes_reasoning,
        position(habits, 'splits_streams') > 0 AND NOT is_log AND NOT failed AND NOT has_usage AND response_id = '' AS opens_stream,
        number['input_tokens'] AS said_input,
        number['output_tokens'] AS said_output,
        number['total_tokens'] AS total,
        number['cache_read_tokens'] AS cache_read_tokens,
        number['cache_write_tokens'] AS cache_write,
        number['cache_write_5m_tokens'] AS said_cache_write_5m,
        number['cache_write_1h_tokens'] AS cache_write_1h_tokens,
        ifNull(cache_read_tokens, 0) + ifNull(cache_write, 0) AS cache_total,
        number['audio_input_tokens'] AS audio_input_tokens,
        number['reasoning_tokens'] AS said_reasoning,
        number['audio_output_tokens'] AS audio_output_tokens,
        signs[indexOf(mapKeys(field), 'input_tokens')] AS said_input_sign,
        transform(said_input_sign, ['f', 'p'], ['=', '=']) AS input_sign,
        transform(signs[indexOf(mapKeys(field), 'output_tokens')], ['f', 'p'], ['=', '=']) AS output_sign,
        has(signs, '+') AS cache_is_beside,
        field['usage_source'] AS given_usage_source,
        -- `auto` is what one asks for, never what one gets. LangChain counts apart what other tiers served.
        multiIf(
            field['service_tier'] = '', transform(said_input_sign, ['f', 'p'], ['flex', 'priority'], ''),
            lower(field['service_tier']) = 'auto', '',
            lower(trim(BOTH '"' FROM field['service_tier']))) AS service_tier,
        field['framework'] AS framework,
        -- A cost that the provider returned. What instrumentations computed stays in `attributes`.
        toDecimal64OrNull(
            multiIf(
                field['cost_source'] = 'provider' AND field['cost_currency'] IN ('', 'USD'), field['cost_amount'],
                -- Langfuse's replacement of OpenAI's client passes on a total that came with the usage; what it computes has parts.
                field['reported_cost_usd'] = '' AND word['span_name'] != '' AND field['input_cost'] = '', field['total_cost'],
                field['reported_cost_usd']),
            9) AS reported_cost_usd,
        field['first_token_at'] AS first_token_at,
        -- Some tell it by the name of what was called alone.
        lower(field['streaming']) IN ('true', '1') OR match(span_name, '(Stream|_stream)$') OR endsWith(field['streaming'], 'Stream') OR first_token_at != '' OR field['first_chunk_s'] != '' OR field['first_chunk_ms'] != '' OR is_log OR opens_stream AS streaming,
        coalesce(
            toFloat64OrNull(field['first_chunk_s']) * 1000,
            toFloat64OrNull(field['first_chunk_ms']),
            toFloat64OrNull(field['ttft_s']) * 1000,
            dateDiff('nanosecond', span_facts.started, parseDateTime64BestEffortOrNull(trim(BOTH '"' FROM field['first_token_at']), 9, 'UTC')) / 1e6,
            dateDiff('nanosecond', span_facts.started, first_chunk_at) / 1e6) AS said_ttft_ms,
        field['status'] AS given_status,
        field['error_type'] AS said_error,
        concat(status_message, field['error_message']) AS error_message,
        arrayFilter(reason -> reason != '', arrayMap(
            -- OpenAI's responses say only that they are complete.
            reason -> if(
                reason = 'completed' AND match(field['output'], '"type": ?"(function_call|tool_call)"'), 'tool_calls',
                transform(concat('finish_reason:', lower(reason)), alias.words, alias.ours, lower(reason))),
            multiIf(
                numbered_texts[3] != '', splitByChar('\n', numbered_texts[3]),
                arrayExists(reason -> reason != '', chosen_reasons), chosen_reasons,
                field['finish_reasons'] = '', strings(choice_reason),
                strings(field['finish_reasons'])))) AS finish_reasons,
        strings(field['safety_flags']) AS safety_flags,
        strings(field['tags']) AS tags,
        toUInt16(greatest(toUInt16OrZero(field['attempt']), 1)) AS attempt,
        lower(field['cached']) = 'true' AS cached,
        bad_numbers,
        -- System instructions travel apart from the messages: one text again.
        multiIf(
            field['input'] = '', numbered_texts[1],
            field['system'] = '', field['input'],
            startsWith(field['input'], '[{') AND startsWith(field['system'], '['),
                concat('[{"role":"system","parts":', field['system'], '},', substring(field['input'], 2)),
            concat(field['system'], '\n', field['input'])) AS input_text,
        if(field['output'] = '', numbered_texts[2], field['output']) AS output_text,
        if(match(field['output_sketch'], '^[0-9a-f]{16}$'), reinterpretAsUInt64(reverse(unhex(field['output_sketch']))), 0) AS output_groups,
        if(output_groups = 0, substring(output_text, 1, 8192), '') AS output_beginning
    FROM
    (
        -- 1. Words of ours, in lower case, and numbers. Tokens are whole numbers from 0 to a billion, NULL for anything else.
        SELECT
            *,
            field['span_type'] = 'log' AS is_log,
            status_code IN ('Error', 'STATUS_CODE_ERROR') OR field['error_type'] != '' OR field['level'] = 'ERROR' AS failed,
            -- Langfuse writes metadata as JSON.
            lower(trim(BOTH '"' FROM field['provider'])) AS said_provider,
            mapApply(
                (kind, text) -> (kind, transform(concat(kind, ':', text), alias.words, alias.ours, '')),
                map(
                    'operation', lower(field['operation']), 'provider', said_provider,
                    'host', if(field['host'] = '', '', arrayFirst(part -> position(lower(field['host']), part) > 0, alias.hosts)),
                    'scope', instrumentation, 'scope_provider', instrumentation, 'span_name', lower(span_name), 'span', concat(instrumentation, ' ', lower(span_name)), 'method', concat(instrumentation, ' ', lower(splitByChar('.', span_name)[-1])),
                    'scope_operation', concat(instrumentation, ' ', lower(field['operation'])))) AS word,
            -- The name of a span is `{operation} {request.model}` (GenAI conventions): all that there is of some calls that failed.
            if(
                field['operation'] = '' AND field['request_model'] = '' AND has(alias.words, concat('scope_provider:', instrumentation)),
                extractGroups(span_name, '^(chat|text_completion|generate_content|embeddings) ([^ ]+)$'), []) AS named,
            -- One for each choice, where they are recorded one by one: numbered, in the provider's choices or in the messages.
            arrayMap(
                choice -> JSONExtractString(choice, 'finish_reason'),
                JSONExtractArrayRaw(multiIf(field['choices'] != '', field['choices'], field['finish_reasons'] = '' AND startsWith(field['output'], '[{'), field['output'], ''))) AS chosen_reasons,
            mapApply(
                (name, text) -> (name, if(toFloat64OrNull(text) <= 1e9, accurateCastOrNull(toFloat64OrNull(text), 'UInt64'), NULL)),
                counts) AS counted,
            -- Nobody calls a model with nothing: all 0 is how some say that they do not know.
            arrayExists(count -> count > 0, mapValues(counted)) AS has_usage,
            mapFilter((name, count) -> has_usage, counted) AS number,
            arrayFilter((pair, count) -> count IS NULL, CAST(counts, 'Array(Tuple(String, String))'), mapValues(counted)) AS bad_numbers
        FROM span_facts
    ) AS span_facts
)
WHERE operation != '' OR request_model != '' OR response_model != '' OR prompt_name != '' OR feature != ''
SETTINGS query_plan_enable_optimizations = 0, optimize_and_compare_chain = 0;
