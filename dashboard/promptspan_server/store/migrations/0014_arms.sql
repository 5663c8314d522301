-- What versions are compared by: sums of each hour, prompt and version, by groups of users.

-- arms_of_calls(since = '2026-11-01 00:00:00', until = ...). Calls of one user resemble each other, so a comparison asks how much
-- groups of users differ: `unit` is one of 64 groups of users (of sessions or calls, where no user is known).
-- Moments are of natural logarithms: of ms + 1, tokens + 1, and of cost in millionths of a millicent (1e-9 USD) + 1.
CREATE VIEW arms_of_calls AS
SELECT
    toStartOfHour(c.ts)::DateTime('UTC') AS hour,
    c.prompt_name AS prompt_name,
    c.prompt_version AS prompt_version,
    c.feature AS feature,
    c.environment AS environment,
    c.service AS service,
    c.request_model AS request_model,
    toUInt8(cityHash64(multiIf(c.user_id != '', c.user_id, c.session_id != '', c.session_id, c.trace_id)) % 64) AS unit,
    count() AS calls,
    countIf(c.user_id != '' OR c.session_id != '') AS identified,
    countIf(c.status = 'error') AS errors,
    countIf(c.status = 'cancelled') AS cancelled,
    countIf(c.status = 'incomplete') AS incomplete,
    sumMap(mapFromArrays(arrayDistinct(c.safety_flags), arrayMap(flag -> toUInt64(1), arrayDistinct(c.safety_flags)))) AS flags,
    countIf(c.status = 'ok') AS latency_calls,
    sumIf(log(c.duration_ms + 1), c.status = 'ok') AS latency_sum,
    sumIf(pow(log(c.duration_ms + 1), 2), c.status = 'ok') AS latency_squares,
    countIf(c.ttft_ms IS NOT NULL) AS ttft_calls,
    sum(log(ifNull(c.ttft_ms, 0) + 1)) AS ttft_sum,
    sum(pow(log(ifNull(c.ttft_ms, 0) + 1), 2)) AS ttft_squares,
    countIf(c.input_tokens IS NOT NULL) AS input_tokens_calls,
    sum(log(ifNull(c.input_tokens, 0) + 1)) AS input_tokens_sum,
    sum(pow(log(ifNull(c.input_tokens, 0) + 1), 2)) AS input_tokens_squares,
    countIf(c.output_tokens IS NOT NULL) AS output_tokens_calls,
    sum(log(ifNull(c.output_tokens, 0) + 1)) AS output_tokens_sum,
    sum(pow(log(ifNull(c.output_tokens, 0) + 1), 2)) AS output_tokens_squares,
    countIf(c.cost_usd IS NOT NULL) AS cost_calls,
    sum(log(toFloat64(ifNull(c.cost_usd, 0)) * 1e9 + 1)) AS cost_sum,
    sum(pow(log(toFloat64(ifNull(c.cost_usd, 0)) * 1e9 + 1), 2)) AS cost_squares,
    sumMapIf(map(toUInt16(floor(log2(c.duration_ms + 1) * 8)), toUInt64(1)), c.status = 'ok') AS latency_hist,
    sumMapIf(map(toUInt16(floor(log2(toFloat64(ifNull(c.cost_usd, 0)) * 1e9 + 1) * 8)), toUInt64(1)), c.cost_usd IS NOT NULL) AS cost_hist
FROM llm_costs AS c
WHERE c.billable AND c.prompt_name != '' AND c.ts >= {since:DateTime64(9, 'UTC')} AND c.ts < {until:DateTime64(9, 'UTC')}
GROUP BY hour, prompt_name, prompt_version, feature, environment, service, request_model, unit;
