-- One call, one bill: two instrumentations of a call, or an aggregate beside its parts, must not add up.

-- From which instrumentations each service has calls of each model. Only where there are several can a call be there twice.
CREATE TABLE instrumentations
(
    service LowCardinality(String),
    model LowCardinality(String) COMMENT 'as asked for, and as answered',
    instrumentation LowCardinality(String),
    first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'UTC',
    last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'UTC'
)
ENGINE = AggregatingMergeTree
ORDER BY (service, model, instrumentation)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW instrumentations_mv TO instrumentations AS
SELECT service, arrayJoin(arrayDistinct([request_model, response_model])) AS model, instrumentation, min(ts) AS first_seen, max(ts) AS last_seen
FROM normalised_calls
WHERE billable
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

-- The calls of services with several instrumentations, from the time on when there were two, and how much each row says: usage
-- first, then its parts, then whose call it was. Of equals, the same instrumentation wins everywhere.
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
    response_id,
    instrumentation,
    ts AS started,
    ts + toIntervalNanosecond(toInt64(duration_ms * 1e6)) AS ended,
    if(response_model != '', response_model, request_model) AS model,
    input_tokens,
    output_tokens,
    (
        input_tokens IS NOT NULL,
        (cache_read_tokens IS NOT NULL) + (cache_write_5m_tokens IS NOT NULL) + (cache_write_1h_tokens IS NOT NULL) + (reasoning_tokens IS NOT NULL),
        (feature != '') + (prompt_name != '') + (response_id != ''),
        instrumentation,
        span_id
    ) AS richness
FROM llm_calls FINAL
WHERE notEmpty(crowded.services) AND ts >= crowded.since - INTERVAL 1 HOUR AND billable AND has(crowded.services, service);

-- The rows that are not billed after all.
CREATE VIEW llm_call_twins AS
-- Spans that name the same answer of the provider, in whatever trace: all but the richest.
SELECT trace_id, span_id
FROM
(
    SELECT trace_id, span_id, row_number() OVER (PARTITION BY service, response_id ORDER BY richness DESC) AS place
    FROM llm_call_rivals
    WHERE response_id != ''
)
WHERE place > 1
UNION ALL
-- Within a trace: a span around another (in time) of the same model and usage, by another instrumentation, is the same call, and
-- the poorer one goes; a span around several whose usage adds up to its own is their sum.
SELECT trace_id, call.span_id AS span_id
FROM
(
    SELECT
        trace_id,
        groupArray(CAST(
            (span_id, instrumentation, started, ended, model, input_tokens, output_tokens, richness),
            'Tuple(span_id String, instrumentation String, started DateTime64(9, \'UTC\'), ended DateTime64(9, \'UTC\'), model String, input_tokens UInt64, output_tokens UInt64, richness Tuple(UInt8, UInt8, UInt8, String, String))')) AS calls
    FROM llm_call_rivals
    WHERE input_tokens IS NOT NULL AND output_tokens IS NOT NULL
    GROUP BY trace_id
    HAVING length(calls) BETWEEN 2 AND 10000
)
ARRAY JOIN calls AS call
WHERE
    arrayExists(
        other -> other.instrumentation != call.instrumentation AND other.richness > call.richness
            AND other.input_tokens = call.input_tokens AND other.output_tokens = call.output_tokens AND other.model = call.model
            AND ((other.started <= call.started AND other.ended >= call.ended) OR (call.started <= other.started AND call.ended >= other.ended)),
        calls)
    OR (
        arrayCount(other -> other.span_id != call.span_id AND call.started <= other.started AND call.ended >= other.ended, calls) > 1
        AND arraySum(other -> if(other.span_id != call.span_id AND call.started <= other.started AND call.ended >= other.ended, other.input_tokens, 0), calls) = call.input_tokens
        AND arraySum(other -> if(other.span_id != call.span_id AND call.started <= other.started AND call.ended >= other.ended, other.output_tokens, 0), calls) = call.output_tokens
    );

-- llm_calls without repetitions of a span, and `billable` for one row of a call only. Money reads this.
-- Where every service has one instrumentation the condition is a constant: neither twins nor ids are read.
CREATE VIEW llm_calls_once AS
WITH (SELECT count() > 0 FROM crowded_services) AS crowded
SELECT * REPLACE (billable AND (NOT crowded OR (trace_id, span_id) NOT IN (SELECT trace_id, span_id FROM llm_call_twins)) AS billable)
FROM llm_calls FINAL;
