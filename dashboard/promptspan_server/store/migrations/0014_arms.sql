-- What versions are compared by: sums of each hour, prompt and version, by groups of users.

-- Calls of one user resemble each other, so a comparison asks how much groups of users differ: `units` are those of 64 groups of
-- users (of sessions or calls, where no user is known) that called in the hour, and an array beside it has one number for each.
-- Moments are of natural logarithms: of ms + 1, tokens + 1, and of cost in millionths of a millicent (1e-9 USD) + 1. All add up.

-- Read through queries/arms.py, which takes open hours from the calls: this table holds earlier revisions of an hour too. Written
-- with hourly_rows, in the same way. A comparison reads two versions of one prompt: they lie together, day by day, in granules and
-- blocks small enough that little else is read with them (0.4 of the time of 512 and 64 KB; 1.4 % more bytes).
CREATE TABLE arm_hour_rows
(
    hour DateTime('UTC') COMMENT 'start of the hour, UTC' CODEC(Delta(4), ZSTD(1)),
    prompt_name LowCardinality(String) CODEC(ZSTD(1)),
    prompt_version LowCardinality(String) CODEC(ZSTD(1)),
    feature LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    units Array(UInt8) COMMENT 'groups of users, 0 to 63' CODEC(ZSTD(1)),
    calls Array(UInt32) COMMENT 'billable calls' CODEC(ZSTD(1)),
    identified Array(UInt32) COMMENT 'calls whose user or session is known' CODEC(ZSTD(1)),
    errors Array(UInt32) CODEC(ZSTD(1)),
    cancelled Array(UInt32) CODEC(ZSTD(1)),
    incomplete Array(UInt32) CODEC(ZSTD(1)),
    latency_calls Array(UInt32) COMMENT 'calls with status ok' CODEC(ZSTD(1)),
    latency_sum Array(Float32) COMMENT 'sum of ln(duration_ms + 1) over those' CODEC(ZSTD(1)),
    ttft_calls Array(UInt32) CODEC(ZSTD(1)),
    ttft_sum Array(Float32) CODEC(ZSTD(1)),
    input_tokens_calls Array(UInt32) CODEC(ZSTD(1)),
    input_tokens_sum Array(Float32) CODEC(ZSTD(1)),
    output_tokens_calls Array(UInt32) CODEC(ZSTD(1)),
    output_tokens_sum Array(Float32) CODEC(ZSTD(1)),
    cost_calls Array(UInt32) CODEC(ZSTD(1)),
    cost_sum Array(Float32) COMMENT 'sum of ln(cost_usd * 1e9 + 1)' CODEC(ZSTD(1)),
    latency_squares Float64 COMMENT 'sum of squares, all groups of users' CODEC(ZSTD(1)),
    ttft_squares Float64 CODEC(ZSTD(1)),
    input_tokens_squares Float64 CODEC(ZSTD(1)),
    output_tokens_squares Float64 CODEC(ZSTD(1)),
    cost_squares Float64 CODEC(ZSTD(1)),
    flags Array(Tuple(UInt8, LowCardinality(String), UInt32)) COMMENT 'group of users, safety flag, calls' CODEC(ZSTD(1)),
    latency_hist Map(UInt16, UInt64) COMMENT 'calls with status ok by floor(log2(duration_ms + 1) * 8)' CODEC(ZSTD(1)),
    cost_hist Map(UInt16, UInt64) COMMENT 'calls by floor(log2(cost_usd * 1e9 + 1) * 8)' CODEC(ZSTD(1)),
    revision UInt64 COMMENT 'higher replaces lower' CODEC(ZSTD(1)),
    gone UInt8 COMMENT '1: this group is no longer in the hour' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, gone)
PARTITION BY toYYYYMM(hour)
ORDER BY (toDate(hour), prompt_name, prompt_version, hour, feature, environment, service, request_model)
SETTINGS index_granularity = 64, min_compress_block_size = 8192, non_replicated_deduplication_window = 0;

-- The same from the calls: arms_of_calls(since = '2026-11-01 00:00:00', until = ...).
CREATE VIEW arms_of_calls AS
SELECT
    hour,
    prompt_name,
    prompt_version,
    feature,
    environment,
    service,
    request_model,
    groupArray(unit) AS units,
    groupArray(toUInt32(u.calls)) AS calls,
    groupArray(toUInt32(u.identified)) AS identified,
    groupArray(toUInt32(u.errors)) AS errors,
    groupArray(toUInt32(u.cancelled)) AS cancelled,
    groupArray(toUInt32(u.incomplete)) AS incomplete,
    groupArray(toUInt32(u.latency_calls)) AS latency_calls,
    groupArray(toFloat32(u.latency_sum)) AS latency_sum,
    groupArray(toUInt32(u.ttft_calls)) AS ttft_calls,
    groupArray(toFloat32(u.ttft_sum)) AS ttft_sum,
    groupArray(toUInt32(u.input_tokens_calls)) AS input_tokens_calls,
    groupArray(toFloat32(u.input_tokens_sum)) AS input_tokens_sum,
    groupArray(toUInt32(u.output_tokens_calls)) AS output_tokens_calls,
    groupArray(toFloat32(u.output_tokens_sum)) AS output_tokens_sum,
    groupArray(toUInt32(u.cost_calls)) AS cost_calls,
    groupArray(toFloat32(u.cost_sum)) AS cost_sum,
    sum(u.latency_squares) AS latency_squares,
    sum(u.ttft_squares) AS ttft_squares,
    sum(u.input_tokens_squares) AS input_tokens_squares,
    sum(u.output_tokens_squares) AS output_tokens_squares,
    sum(u.cost_squares) AS cost_squares,
    groupArrayArray(arrayMap(pair -> (u.unit, pair.1, toUInt32(pair.2)), CAST(u.flags, 'Array(Tuple(LowCardinality(String), UInt64))'))) AS flags,
    sumMap(u.latency_hist) AS latency_hist,
    sumMap(u.cost_hist) AS cost_hist
FROM
(
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
        sumMap(CAST((arrayDistinct(c.safety_flags), arrayResize([1], length(arrayDistinct(c.safety_flags)), 1)), 'Map(LowCardinality(String), UInt64)')) AS flags,
        countIf(c.status = 'ok') AS latency_calls,
        sumIf(log(c.duration_ms + 1) AS log_ms, c.status = 'ok') AS latency_sum,
        sumIf(log_ms * log_ms, c.status = 'ok') AS latency_squares,
        count(c.ttft_ms) AS ttft_calls,
        sum(log(ifNull(c.ttft_ms, 0) + 1) AS log_ttft) AS ttft_sum,
        sum(log_ttft * log_ttft) AS ttft_squares,
        count(c.input_tokens) AS input_tokens_calls,
        sum(log(ifNull(c.input_tokens, 0) + 1) AS log_input) AS input_tokens_sum,
        sum(log_input * log_input) AS input_tokens_squares,
        count(c.output_tokens) AS output_tokens_calls,
        sum(log(ifNull(c.output_tokens, 0) + 1) AS log_output) AS output_tokens_sum,
        sum(log_output * log_output) AS output_tokens_squares,
        count(c.cost_usd) AS cost_calls,
        sum(log(toFloat64(ifNull(c.cost_usd, 0)) * 1e9 + 1) AS log_cost) AS cost_sum,
        sum(log_cost * log_cost) AS cost_squares,
        sumMapIf(map(toUInt16(floor(log2(c.duration_ms + 1) * 8)), toUInt64(1)), c.status = 'ok') AS latency_hist,
        sumMapIf(map(toUInt16(floor(log2(toFloat64(ifNull(c.cost_usd, 0)) * 1e9 + 1) * 8)), toUInt64(1)), c.cost_usd IS NOT NULL) AS cost_hist
    FROM priced_calls AS c
    WHERE c.billable AND c.prompt_name != '' AND c.ts >= {since:DateTime64(9, 'UTC')} AND c.ts < {until:DateTime64(9, 'UTC')}
    GROUP BY hour, prompt_name, prompt_version, feature, environment, service, request_model, unit
) AS u
GROUP BY hour, prompt_name, prompt_version, feature, environment, service, request_model;
