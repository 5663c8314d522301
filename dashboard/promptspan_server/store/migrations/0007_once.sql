-- One call, one bill: two instrumentations of a call, or an aggregate beside its parts, must not add up. Which rows are such twins
-- takes a look at all rows around them, so it is found out by the hour, seconds after calls arrive (pricing/corrections.py), and kept.

-- What happened to every hour, and when what is kept of it was computed: here, and in 0013.
CREATE TABLE hour_states
(
    hour DateTime('UTC') COMMENT 'start of the hour, UTC',
    calls_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'last arrival of calls; UTC, clock of the store, like the next three',
    marked_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'last change of its calls, corrections or prices',
    corrected_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'when its corrections were last looked for',
    computed_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')) COMMENT 'when its sums were last computed'
)
ENGINE = AggregatingMergeTree
ORDER BY hour
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW hour_states_of_calls TO hour_states AS
SELECT toStartOfHour(ts)::DateTime('UTC') AS hour, now64(6, 'UTC') AS calls_at, calls_at AS marked_at
FROM llm_calls
GROUP BY hour;

-- Hours whose sums may not say what their calls say. An insert marks its hour a moment before its rows can be read: a minute later
-- they can.
CREATE VIEW open_hours AS
SELECT hour
FROM hour_states
GROUP BY hour
HAVING max(computed_at) < max(marked_at) + INTERVAL 1 MINUTE;

-- From which instrumentations each service has calls of each model. Only where there are several can a call be there twice.
CREATE TABLE instrumentations
(
    service LowCardinality(String),
    model LowCardinality(String) COMMENT 'as asked for, and as answered, without vendor, version and date',
    instrumentation LowCardinality(String),
    first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'UTC',
    last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'UTC'
)
ENGINE = AggregatingMergeTree
ORDER BY (service, model, instrumentation)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW instrumentations_mv TO instrumentations AS
WITH (name -> replaceRegexpOne(splitByChar('/', name)[-1], '(-[0-9]{4}-[0-9]{2}-[0-9]{2}|[-@][0-9]{8})?(-v[0-9]+)?(:[0-9a-z]+)?$', '')) AS plain
SELECT service, arrayJoin(arrayDistinct([plain(request_model), plain(response_model)])) AS model, instrumentation, min(first) AS first_seen, max(last) AS last_seen
FROM
(
    -- Each pair of names once, before they are made plain.
    SELECT service, request_model, response_model, instrumentation, min(ts) AS first, max(ts) AS last
    FROM llm_calls
    WHERE operation IN ('chat', 'text_completion', 'generate_content', 'embeddings')
    GROUP BY service, request_model, response_model, instrumentation
)
GROUP BY service, model, instrumentation;

-- Services in which two instrumentations see the same model, and since when.
CREATE VIEW crowded_services AS
SELECT service, min(second) AS since
FROM
(
    SELECT service, model, arraySort(groupArray(started))[2] AS second
    FROM (SELECT service, model, instrumentation, min(first_seen) AS started FROM instrumentations GROUP BY service, model, instrumentation)
    WHERE model != ''
    GROUP BY service, model
    HAVING count() > 1
)
GROUP BY service;

-- Those that write a stream as two spans.
CREATE VIEW splitting_instrumentations AS
SELECT DISTINCT instrumentation
FROM instrumentations
WHERE instrumentation IN (SELECT value FROM value_aliases WHERE field = 'scope' AND position(canonical, 'splits_streams') > 0);

-- The calls of services with several instrumentations, from the time on when there were two, and how much each row says: usage
-- first, then its parts and what else makes the price, then whose call it was. Of equals, the same instrumentation wins everywhere.
-- Of some hours, and those before and after each: llm_call_rivals(hours = [...]).
CREATE VIEW llm_call_rivals AS
WITH
    -- Constants, so that nothing is read where there is no such service.
    (
        SELECT CAST((groupArray(service), min(since)), 'Tuple(services Array(String), since DateTime64(9, \'UTC\'))')
        FROM crowded_services
    ) AS crowded
SELECT
    service,
    trace_id,
    span_id,
    parent_span_id,
    response_id,
    instrumentation,
    ts AS started,
    ts + toIntervalNanosecond(toInt64(duration_ms * 5e5)) AS halfway,
    ts + toIntervalNanosecond(toInt64(duration_ms * 1e6)) AS ended,
    -- Plain as in instrumentations_mv: one names the model that was asked for, another the one that answered.
    arrayDistinct(arrayMap(
        model -> replaceRegexpOne(splitByChar('/', model)[-1], '(-[0-9]{4}-[0-9]{2}-[0-9]{2}|[-@][0-9]{8})?(-v[0-9]+)?(:[0-9a-z]+)?$', ''),
        arrayFilter(model -> model != '', [request_model, response_model]))) AS models,
    if(usage_source = 'provider', input_tokens, NULL) AS input_tokens_,
    if(usage_source = 'provider', output_tokens, NULL) AS output_tokens_,
    (
        transform(usage_source, ['provider', 'estimated'], [2, 1], 0),
        (cache_read_tokens IS NOT NULL) + (cache_write_5m_tokens IS NOT NULL) + (cache_write_1h_tokens IS NOT NULL) + (reasoning_tokens IS NOT NULL)
            + (audio_input_tokens IS NOT NULL) + (audio_output_tokens IS NOT NULL) + (service_tier != '') + (reported_cost_usd IS NOT NULL),
        (feature != '') + (prompt_name != '') + (response_id != '') + (error_type != ''),
        instrumentation,
        span_id
    ) AS richness
FROM llm_calls FINAL
WHERE notEmpty(crowded.services) AND ts >= crowded.since - INTERVAL 1 HOUR AND billable AND has(crowded.services, service)
    AND toStartOfHour(ts) IN (SELECT arrayJoin(arrayFlatten(arrayMap(hour -> [hour - INTERVAL 1 HOUR, hour, hour + INTERVAL 1 HOUR], {hours:Array(DateTime('UTC'))}))));

-- The rows of some hours that are not billed after all: llm_call_twins_in(hours = [...]).
CREATE VIEW llm_call_twins_in AS
SELECT DISTINCT toStartOfHour(started)::DateTime('UTC') AS hour, trace_id, span_id
FROM
(
    WITH
        toDateTime64(0, 9, 'UTC') AS old,
        toDateTime64('2262-01-01', 9, 'UTC') AS far
    -- Spans that name the same answer of the provider, in whatever trace: all but the richest.
    SELECT started, trace_id, span_id
    FROM
    (
        SELECT started, trace_id, span_id, row_number() OVER (PARTITION BY service, response_id ORDER BY richness DESC) AS place
        FROM llm_call_rivals(hours = {hours:Array(DateTime('UTC'))})
        WHERE response_id != ''
    )
    WHERE place > 1
    UNION ALL
    -- Within a trace: a span that overlaps another by half of the shorter one (streams end as they are read), or is its parent, by another
    -- instrumentation is the same call, and the poorer one
    -- goes, if they name the same model and answer or input, or one of them knows no usage and no other answer. A span around several
    -- whose usage adds up to its own is their sum.
    SELECT call.started AS started, trace_id, call.span_id AS span_id
    FROM
    (
        SELECT
            trace_id,
            groupArray(CAST(
                (span_id, parent_span_id, instrumentation, started, halfway, ended, models, response_id, input_tokens_, output_tokens_, richness),
                'Tuple(span_id String, parent String, instrumentation String, started DateTime64(9, \'UTC\'), halfway DateTime64(9, \'UTC\'), ended DateTime64(9, \'UTC\'), models Array(String), response_id String, input Nullable(UInt64), output Nullable(UInt64), richness Tuple(UInt8, UInt8, UInt8, String, String))')) AS calls
        FROM llm_call_rivals(hours = {hours:Array(DateTime('UTC'))})
        GROUP BY trace_id
        HAVING length(calls) BETWEEN 2 AND 10000
    )
    ARRAY JOIN calls AS call
    WHERE
        arrayExists(
            other -> other.instrumentation != call.instrumentation AND other.richness > call.richness
                AND (
                    (other.started <= call.started AND (other.ended >= call.halfway OR other.halfway >= call.started))
                    OR (call.started <= other.started AND (call.ended >= other.halfway OR call.halfway >= other.started))
                    OR other.span_id = call.parent OR call.span_id = other.parent)
                AND hasAny(other.models, call.models)
                AND multiIf(
                    other.response_id = call.response_id AND call.response_id != '', true,
                    other.response_id = '' OR call.response_id = '', ifNull(other.input = call.input, true),
                    -- Some make up ids of their own.
                    ifNull(other.input = call.input AND other.output = call.output, false)),
            calls)
        OR (
            arrayCount(other -> other.span_id != call.span_id AND call.started <= other.started AND call.ended >= other.ended, calls) > 1
            AND arraySum(other -> if(other.span_id != call.span_id AND call.started <= other.started AND call.ended >= other.ended, ifNull(other.input, 0), 0), calls) = call.input
            AND arraySum(other -> if(other.span_id != call.span_id AND call.started <= other.started AND call.ended >= other.ended, ifNull(other.output, 0), 0), calls) = call.output
        )
    UNION ALL
    -- Roots of traces of their own that share no id of an answer (one of them does not record ids): of one model and usage, at
    -- the same time. What the richest instrumentation has stays.
    SELECT started, trace_id, span_id
    FROM
    (
        SELECT
            *,
            place = 1 AS best,
            max(if(best, ended, old)) OVER earlier >= halfway OR max(if(best, halfway, old)) OVER earlier >= started AS after_best,
            min(if(best, halfway, far)) OVER later <= ended OR min(if(best, started, far)) OVER later <= halfway AS before_best,
            best AND response_id = '' AS nameless,
            max(if(nameless, ended, old)) OVER earlier >= halfway OR max(if(nameless, halfway, old)) OVER earlier >= started AS after_nameless,
            min(if(nameless, halfway, far)) OVER later <= ended OR min(if(nameless, started, far)) OVER later <= halfway AS before_nameless
        FROM
        (
            SELECT *, dense_rank() OVER (PARTITION BY service, model, usage ORDER BY level DESC) AS place
            FROM
            (
                SELECT
                    *,
                    arrayJoin(models) AS model,
                    -- Embeddings have no output, whether it is called 0 or not known.
                    (input_tokens_, ifNull(output_tokens_, 0)) AS usage,
                    max(richness) OVER (PARTITION BY service, model, usage, instrumentation) AS level
                FROM llm_call_rivals(hours = {hours:Array(DateTime('UTC'))})
                WHERE parent_span_id = '' AND input_tokens_ IS NOT NULL
            )
        )
        WINDOW
            earlier AS (PARTITION BY service, model, usage ORDER BY started, ended DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            later AS (PARTITION BY service, model, usage ORDER BY started, ended DESC ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    )
    WHERE place > 1 AND if(response_id = '', after_best OR before_best, after_nameless OR before_nameless)
    UNION ALL
    -- Likewise roots that know neither usage nor answer, as of calls that failed, beside any other call of the model.
    SELECT started, trace_id, span_id
    FROM
    (
        SELECT
            *,
            place = 1 AS best,
            max(if(best, ended, old)) OVER earlier >= halfway OR max(if(best, halfway, old)) OVER earlier >= started AS after_best,
            min(if(best, halfway, far)) OVER later <= ended OR min(if(best, started, far)) OVER later <= halfway AS before_best
        FROM
        (
            SELECT *, dense_rank() OVER (PARTITION BY service, model ORDER BY level DESC) AS place
            FROM
            (
                SELECT *, arrayJoin(models) AS model, max(richness) OVER (PARTITION BY service, model, instrumentation) AS level
                FROM llm_call_rivals(hours = {hours:Array(DateTime('UTC'))})
                WHERE parent_span_id = ''
            )
        )
        WINDOW
            earlier AS (PARTITION BY service, model ORDER BY started, ended DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            later AS (PARTITION BY service, model ORDER BY started, ended DESC ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    )
    WHERE place > 1 AND input_tokens_ IS NULL AND response_id = '' AND (after_best OR before_best)
)
WHERE has({hours:Array(DateTime('UTC'))}, hour);

-- Streams of some hours that were opened (0005: not billable, since a log at the end is the call) and of which no log tells: they were
-- left. Of several at once of one service and model that one log follows, none counts as left.
CREATE VIEW llm_calls_left_in AS
SELECT toStartOfHour(o.started)::DateTime('UTC') AS hour, o.trace_id AS trace_id, o.span_id AS span_id
FROM
(
    SELECT service, request_model, trace_id, span_id, ts AS started, ts + toIntervalNanosecond(toInt64(duration_ms * 1e6)) AS ended
    FROM llm_calls FINAL
    WHERE NOT billable AND streaming AND operation IN ('chat', 'text_completion') AND service NOT IN (SELECT service FROM crowded_services)
        AND toStartOfHour(ts) IN (SELECT arrayJoin({hours:Array(DateTime('UTC'))}))
        AND (SELECT count() > 0 FROM splitting_instrumentations)
) AS o
ASOF LEFT JOIN
(
    SELECT service, request_model, ts AS began
    FROM llm_calls FINAL
    WHERE billable AND streaming AND startsWith(instrumentation, 'logfire.')
        AND toStartOfHour(ts) IN (SELECT arrayJoin(arrayFlatten(arrayMap(hour -> [hour, hour + INTERVAL 1 HOUR], {hours:Array(DateTime('UTC'))}))))
) AS l
    ON o.service = l.service AND o.request_model = l.request_model AND l.began >= o.started
WHERE toUnixTimestamp(l.began) = 0 OR l.began > o.ended + INTERVAL 5 SECOND;

-- Rows whose `billable` is the other way round, and what it is: read it FINAL, it holds earlier findings too.
CREATE TABLE llm_call_corrections
(
    hour DateTime('UTC') COMMENT 'start of the hour, UTC' CODEC(Delta(4), ZSTD(1)),
    trace_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    span_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    billable Bool COMMENT 'false for a twin of another row, true for a stream that was left' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'higher replaces lower' CODEC(ZSTD(1)),
    gone UInt8 COMMENT '1: no correction after all' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, gone)
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, trace_id, span_id)
SETTINGS non_replicated_deduplication_window = 0;

-- The same as the calls say now: llm_call_corrections_in(hours = [...]).
CREATE VIEW llm_call_corrections_in AS
SELECT hour, trace_id, span_id, false AS billable FROM llm_call_twins_in(hours = {hours:Array(DateTime('UTC'))})
UNION ALL
SELECT hour, trace_id, span_id, true AS billable FROM llm_calls_left_in(hours = {hours:Array(DateTime('UTC'))});

-- llm_calls without repetitions of a span, and `billable` for one row of a call only. Money reads this.
-- Where nothing was corrected the condition is a constant: ids are not read.
CREATE VIEW llm_calls_once AS
WITH (SELECT count() > 0 FROM llm_call_corrections) AS any_corrected
SELECT * REPLACE (
    billable != (any_corrected AND (trace_id, span_id, NOT billable) IN (SELECT trace_id, span_id, billable FROM llm_call_corrections FINAL)) AS billable)
FROM llm_calls FINAL;
