-- One call, one bill: two instrumentations of a call, or an aggregate beside its parts, must not add up.

-- Which instrumentations each service has model calls from. Only where there are several can a call be there twice.
CREATE TABLE instrumentations
(
    service LowCardinality(String),
    instrumentation LowCardinality(String),
    first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'UTC',
    last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'UTC'
)
ENGINE = AggregatingMergeTree
ORDER BY (service, instrumentation)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW instrumentations_mv TO instrumentations AS
SELECT service, instrumentation, min(ts) AS first_seen, max(ts) AS last_seen
FROM normalised_calls
WHERE billable
GROUP BY service, instrumentation;

-- The poorer rows of calls that are there more than once. Only services with several instrumentations are read.
CREATE VIEW llm_call_twins AS
WITH
    (SELECT groupArray(service) FROM (SELECT service FROM instrumentations GROUP BY service HAVING uniqExact(instrumentation) > 1)) AS crowded
SELECT trace_id, span_id
FROM
(
    -- Spans that name the same answer of the provider, in whatever trace: all but the richest.
    SELECT
        trace_id,
        span_id,
        row_number() OVER (
            PARTITION BY service, response_id
            ORDER BY
                input_tokens IS NOT NULL DESC,
                (cache_read_tokens IS NOT NULL) + (cache_write_1h_tokens IS NOT NULL) + (reasoning_tokens IS NOT NULL) DESC,
                (feature != '') + (prompt_name != '') DESC,
                ts, span_id) AS place
    FROM llm_calls FINAL
    WHERE billable AND response_id != '' AND has(crowded, service)
)
WHERE place > 1;

-- llm_calls without repetitions of a span, and `billable` for one row of a call only. Money reads this.
CREATE VIEW llm_calls_once AS
SELECT * REPLACE (billable AND (trace_id, span_id) NOT IN (SELECT trace_id, span_id FROM llm_call_twins) AS billable)
FROM llm_calls FINAL;
