-- Evaluations and human feedback, and what the SDKs say of their own losses.

-- The standard way: a log event (semantic-conventions-genai, gen_ai.evaluation.result).
CREATE MATERIALIZED VIEW scores_from_logs_mv TO scores AS
SELECT
    if(Timestamp > now64(9, 'UTC') + INTERVAL 1 HOUR OR Timestamp < now64(9, 'UTC') - INTERVAL 30 DAY, now64(9, 'UTC'), Timestamp) AS ts,
    if(LogAttributes['promptspan.score.trace_id'] != '', LogAttributes['promptspan.score.trace_id'], TraceId) AS trace_id,
    if(LogAttributes['promptspan.score.trace_id'] != '', LogAttributes['promptspan.score.span_id'], SpanId) AS span_id,
    LogAttributes['gen_ai.response.id'] AS response_id,
    ServiceName AS service,
    LogAttributes['gen_ai.evaluation.name'] AS name,
    if(isFinite(toFloat64OrNull(LogAttributes['gen_ai.evaluation.score.value'])), toFloat64OrNull(LogAttributes['gen_ai.evaluation.score.value']), NULL) AS value,
    LogAttributes['gen_ai.evaluation.score.label'] AS label,
    LogAttributes['gen_ai.evaluation.explanation'] AS explanation,
    hex(sipHash64(Timestamp, TraceId, SpanId, Body, LogAttributes)) AS source_id
FROM otel_logs
WHERE EventName = 'gen_ai.evaluation.result' OR LogAttributes['event.name'] = 'gen_ai.evaluation.result';

-- Our SDK's way: a span of its own, so that a score travels the spool like everything else.
CREATE MATERIALIZED VIEW scores_from_spans_mv TO scores AS
SELECT
    if(Timestamp > now64(9, 'UTC') + INTERVAL 1 HOUR OR Timestamp < now64(9, 'UTC') - INTERVAL 30 DAY, now64(9, 'UTC'), Timestamp) AS ts,
    -- A score by response id alone is a trace of its own, which is nobody's.
    multiIf(
        SpanAttributes['promptspan.score.trace_id'] != '', SpanAttributes['promptspan.score.trace_id'],
        ParentSpanId = '' AND SpanAttributes['gen_ai.response.id'] != '', '',
        TraceId) AS trace_id,
    if(SpanAttributes['promptspan.score.trace_id'] != '', SpanAttributes['promptspan.score.span_id'], ParentSpanId) AS span_id,
    SpanAttributes['gen_ai.response.id'] AS response_id,
    ServiceName AS service,
    SpanAttributes['gen_ai.evaluation.name'] AS name,
    if(isFinite(toFloat64OrNull(SpanAttributes['gen_ai.evaluation.score.value'])), toFloat64OrNull(SpanAttributes['gen_ai.evaluation.score.value']), NULL) AS value,
    SpanAttributes['gen_ai.evaluation.score.label'] AS label,
    SpanAttributes['gen_ai.evaluation.explanation'] AS explanation,
    SpanId AS source_id
FROM otel_traces
WHERE SpanName = 'gen_ai.evaluation.result';

-- Each score with the call that it judges, whichever way it names it: by its span, or by the provider's response id.
-- For example: SELECT prompt_version, avg(score_value) FROM call_scores WHERE ts > now() - INTERVAL 1 DAY GROUP BY prompt_version
CREATE VIEW call_scores AS
SELECT
    s.name AS score,
    s.value AS score_value,
    s.label AS score_label,
    s.explanation AS score_explanation,
    s.ts AS scored_at,
    c.*
FROM llm_calls_once AS c
INNER JOIN (SELECT * FROM scores FINAL WHERE trace_id != '' AND span_id != '') AS s
    ON s.trace_id = c.trace_id AND s.span_id = c.span_id
UNION ALL
SELECT
    s.name AS score,
    s.value AS score_value,
    s.label AS score_label,
    s.explanation AS score_explanation,
    s.ts AS scored_at,
    c.*
FROM llm_calls_once AS c
INNER JOIN (SELECT * FROM scores FINAL WHERE response_id != '' AND (trace_id = '' OR span_id = '')) AS s
    ON s.response_id = c.response_id
WHERE c.billable;

-- The loss ledger that our SDK sends along with its data, as resource attributes.
CREATE MATERIALIZED VIEW sdk_losses_mv TO sdk_losses AS
SELECT
    ServiceName AS service,
    -- Its own id of the process: applications set service.instance.id to one for all workers of a pod.
    if(ResourceAttributes['promptspan.sdk.instance'] != '',
        ResourceAttributes['promptspan.sdk.instance'], ResourceAttributes['service.instance.id']) AS instance_id,
    max(toUInt64OrZero(ResourceAttributes['promptspan.sdk.emitted'])) AS emitted,
    max(toUInt64OrZero(ResourceAttributes['promptspan.sdk.delivered'])) AS delivered,
    maxMap(mapApply(
        (key, count) -> (substring(key, length('promptspan.sdk.dropped.') + 1), toUInt64OrZero(count)),
        mapFilter((key, count) -> startsWith(key, 'promptspan.sdk.dropped.'), ResourceAttributes))) AS dropped,
    min(now64(9, 'UTC')) AS first_seen,
    max(now64(9, 'UTC')) AS last_seen
FROM otel_traces
WHERE ResourceAttributes['promptspan.sdk.emitted'] != ''
GROUP BY service, instance_id;
