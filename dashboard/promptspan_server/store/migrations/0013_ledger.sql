-- The ledger: billable calls by hour, recomputed from llm_costs for every hour that something happened to. Recomputing is
-- idempotent, so a call that comes late, twice or in another order changes nothing but the hour it belongs to.

-- Read llm_hourly instead: this table holds earlier revisions of an hour too. One insert replaces an hour as a whole (old
-- rows deleted, new rows added, in one part), so a reader sees it before or after, never in between.
CREATE TABLE hourly_rows
(
    hour DateTime('UTC') COMMENT 'start of the hour, UTC' CODEC(Delta(4), ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    feature LowCardinality(String) CODEC(ZSTD(1)),
    prompt_name LowCardinality(String) CODEC(ZSTD(1)),
    prompt_version LowCardinality(String) CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    provider LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    response_model LowCardinality(String) CODEC(ZSTD(1)),
    service_tier LowCardinality(String) CODEC(ZSTD(1)),
    tags LowCardinality(String) COMMENT 'llm_calls.tags in the order of the alphabet, with commas between them (a comma in a tag is a blank)' CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'ok, error, cancelled or incomplete' CODEC(ZSTD(1)),
    price_status LowCardinality(String) COMMENT 'priced, reported, unpriced or no_usage' CODEC(ZSTD(1)),
    price_id LowCardinality(String) COMMENT 'price_rates.price_id; empty if the model is not in the book' CODEC(ZSTD(1)),
    rate_id LowCardinality(String) COMMENT 'price_rates.rate_id that cost_usd was computed with; empty if none was' CODEC(ZSTD(1)),
    calls UInt64 COMMENT 'billable calls' CODEC(T64, ZSTD(1)),
    retries UInt64 COMMENT 'calls that were a second or later try' CODEC(T64, ZSTD(1)),
    streamed UInt64 COMMENT 'calls that streamed' CODEC(T64, ZSTD(1)),
    cached UInt64 COMMENT 'calls answered by a cache of the application' CODEC(T64, ZSTD(1)),
    estimated UInt64 COMMENT 'calls whose tokens are an estimate' CODEC(T64, ZSTD(1)),
    flagged UInt64 COMMENT 'calls with a safety flag' CODEC(T64, ZSTD(1)),
    flags Map(LowCardinality(String), UInt64) COMMENT 'calls by safety flag' CODEC(ZSTD(1)),
    input_calls UInt64 COMMENT 'calls whose input tokens are known' CODEC(T64, ZSTD(1)),
    output_calls UInt64 COMMENT 'calls whose output tokens are known' CODEC(T64, ZSTD(1)),
    input_tokens UInt64 COMMENT 'tokens, inclusive; unknown ones are not in it' CODEC(T64, ZSTD(1)),
    uncached_input_tokens UInt64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    cache_read_tokens UInt64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    cache_write_5m_tokens UInt64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    cache_write_1h_tokens UInt64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    audio_input_tokens UInt64 COMMENT 'tokens of uncached_input_tokens that are billed as audio' CODEC(T64, ZSTD(1)),
    output_tokens UInt64 COMMENT 'tokens, inclusive; unknown ones are not in it' CODEC(T64, ZSTD(1)),
    reasoning_tokens UInt64 COMMENT 'tokens of output_tokens that are billed as reasoning' CODEC(T64, ZSTD(1)),
    audio_output_tokens UInt64 COMMENT 'tokens of output_tokens that are billed as audio' CODEC(T64, ZSTD(1)),
    cost_usd Decimal(38, 9) COMMENT 'USD, exact sum of llm_costs.cost_usd; calls without a cost are not in it: see price_status' CODEC(ZSTD(1)),
    retries_cost_usd Decimal(38, 9) COMMENT 'USD, the part of cost_usd that retries cost' CODEC(ZSTD(1)),
    cost_usd_max Nullable(Decimal(18, 9)) COMMENT 'USD, the dearest call' CODEC(ZSTD(1)),
    duration_ms_sum Float64 COMMENT 'ms' CODEC(ZSTD(1)),
    duration_ms_max Float64 COMMENT 'ms, the slowest call' CODEC(ZSTD(1)),
    duration_log_sum Float64 COMMENT 'sum of ln(duration_ms + 1)' CODEC(ZSTD(1)),
    duration_log_sumsq Float64 COMMENT 'sum of squares of ln(duration_ms + 1)' CODEC(ZSTD(1)),
    duration_hist Map(UInt16, UInt64) COMMENT 'calls by floor(log2(duration_ms + 1) * 8): read with sumMap' CODEC(ZSTD(1)),
    ttft_calls UInt64 COMMENT 'calls with a time to first token' CODEC(T64, ZSTD(1)),
    ttft_log_sum Float64 COMMENT 'sum of ln(ttft_ms + 1)' CODEC(ZSTD(1)),
    ttft_log_sumsq Float64 COMMENT 'sum of squares of ln(ttft_ms + 1)' CODEC(ZSTD(1)),
    ttft_hist Map(UInt16, UInt64) COMMENT 'calls by floor(log2(ttft_ms + 1) * 8)' CODEC(ZSTD(1)),
    output_tokens_hist Map(UInt16, UInt64) COMMENT 'calls by floor(log2(output_tokens + 1) * 8)' CODEC(ZSTD(1)),
    input_log_sum Float64 COMMENT 'sum of ln(input_tokens + 1) over input_calls' CODEC(ZSTD(1)),
    input_log_sumsq Float64 COMMENT 'sum of its squares' CODEC(ZSTD(1)),
    output_log_sum Float64 COMMENT 'sum of ln(output_tokens + 1) over output_calls' CODEC(ZSTD(1)),
    output_log_sumsq Float64 COMMENT 'sum of its squares' CODEC(ZSTD(1)),
    cost_log_calls UInt64 COMMENT 'calls that cost more than nothing' CODEC(T64, ZSTD(1)),
    cost_log_sum Float64 COMMENT 'sum of ln(cost in 1e-9 USD + 1) over cost_log_calls' CODEC(ZSTD(1)),
    cost_log_sumsq Float64 COMMENT 'sum of its squares' CODEC(ZSTD(1)),
    finish_reasons Map(LowCardinality(String), UInt64) COMMENT 'calls by finish reason' CODEC(ZSTD(1)),
    settings Map(LowCardinality(String), UInt64) COMMENT 'calls by what they were made with, in lines: template=..., parameters and fingerprints under their own names' CODEC(ZSTD(1)),
    first_call DateTime64(9, 'UTC') COMMENT 'start of the first call, UTC' CODEC(Delta(8), ZSTD(1)),
    last_call DateTime64(9, 'UTC') COMMENT 'start of the last call, UTC' CODEC(Delta(8), ZSTD(1)),
    revision UInt64 COMMENT 'higher replaces lower' CODEC(ZSTD(1)),
    gone UInt8 COMMENT '1: this group is no longer in the hour' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, gone)
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, feature, prompt_name, prompt_version, service, environment, tenant, operation, provider, request_model, response_model, service_tier, tags, status, price_status, price_id, rate_id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE VIEW llm_hourly AS
SELECT
    * EXCEPT (revision, gone),
    if(status = 'error', calls, 0) AS errors,
    if(status = 'cancelled', calls, 0) AS cancelled,
    if(status = 'incomplete', calls, 0) AS incomplete,
    if(price_status = 'priced', calls, 0) AS priced_calls,
    if(price_status = 'reported', calls, 0) AS reported_calls,
    if(price_status = 'unpriced', calls, 0) AS unpriced_calls,
    if(price_status = 'no_usage', calls, 0) AS no_usage_calls
FROM hourly_rows FINAL;

-- The same computed from the calls: hourly_of_calls(hours = [...]).
CREATE VIEW hourly_of_calls AS
SELECT
    toStartOfHour(ts)::DateTime('UTC') AS hour,
    tenant,
    environment,
    service,
    feature,
    prompt_name,
    prompt_version,
    operation,
    provider,
    request_model,
    response_model,
    service_tier,
    arrayStringConcat(arraySort(arrayDistinct(arrayMap(tag -> replaceAll(tag, ',', ' '), c.tags))), ',') AS tags,
    status,
    price_status,
    price_id,
    rate_id,
    count() AS calls,
    countIf(c.attempt > 1) AS retries,
    countIf(c.streaming) AS streamed,
    countIf(c.cached) AS cached,
    countIf(c.usage_source = 'estimated') AS estimated,
    countIf(notEmpty(c.safety_flags)) AS flagged,
    sumMap(CAST((arrayDistinct(c.safety_flags), arrayResize([1], length(arrayDistinct(c.safety_flags)), 1)), 'Map(LowCardinality(String), UInt64)')) AS flags,
    count(c.input_tokens) AS input_calls,
    count(c.output_tokens) AS output_calls,
    sum(ifNull(c.input_tokens, 0)) AS input_tokens,
    sum(ifNull(c.uncached_input_tokens, 0)) AS uncached_input_tokens,
    sum(ifNull(c.cache_read_tokens, 0)) AS cache_read_tokens,
    sum(ifNull(c.cache_write_5m_tokens, 0)) AS cache_write_5m_tokens,
    sum(ifNull(c.cache_write_1h_tokens, 0)) AS cache_write_1h_tokens,
    -- As llm_costs bills them, call by call: so tokens x price of a group is its cost.
    sum(least(ifNull(c.audio_input_tokens, 0), c.uncached_input_tokens)) AS audio_input_tokens,
    sum(ifNull(c.output_tokens, 0)) AS output_tokens,
    sum(least(ifNull(c.reasoning_tokens, 0), ifNull(c.output_tokens, 0))) AS reasoning_tokens,
    sum(least(ifNull(c.audio_output_tokens, 0), ifNull(c.output_tokens, 0) - least(ifNull(c.reasoning_tokens, 0), ifNull(c.output_tokens, 0)))) AS audio_output_tokens,
    sum(ifNull(c.cost_usd, 0)) AS cost_usd,
    sumIf(ifNull(c.cost_usd, 0), c.attempt > 1) AS retries_cost_usd,
    max(c.cost_usd) AS cost_usd_max,
    sum(c.duration_ms) AS duration_ms_sum,
    max(c.duration_ms) AS duration_ms_max,
    sum(log(c.duration_ms + 1)) AS duration_log_sum,
    sum(pow(log(c.duration_ms + 1), 2)) AS duration_log_sumsq,
    sumMap(map(toUInt16(floor(log2(c.duration_ms + 1) * 8)), toUInt64(1))) AS duration_hist,
    countIf(c.ttft_ms IS NOT NULL) AS ttft_calls,
    sum(log(ifNull(c.ttft_ms, 0) + 1)) AS ttft_log_sum,
    sum(pow(log(ifNull(c.ttft_ms, 0) + 1), 2)) AS ttft_log_sumsq,
    sumMapIf(map(toUInt16(floor(log2(ifNull(c.ttft_ms, 0) + 1) * 8)), toUInt64(1)), c.ttft_ms IS NOT NULL) AS ttft_hist,
    sumMapIf(map(toUInt16(floor(log2(ifNull(c.output_tokens, 0) + 1) * 8)), toUInt64(1)), c.output_tokens IS NOT NULL) AS output_tokens_hist,
    sum(ifNull(log(c.input_tokens + 1), 0)) AS input_log_sum,
    sum(ifNull(pow(log(c.input_tokens + 1), 2), 0)) AS input_log_sumsq,
    sum(ifNull(log(c.output_tokens + 1), 0)) AS output_log_sum,
    sum(ifNull(pow(log(c.output_tokens + 1), 2), 0)) AS output_log_sumsq,
    countIf(c.cost_usd > 0) AS cost_log_calls,
    sum(ifNull(log(toFloat64(c.cost_usd) * 1e9 + 1), 0)) AS cost_log_sum,
    sum(ifNull(pow(log(toFloat64(c.cost_usd) * 1e9 + 1), 2), 0)) AS cost_log_sumsq,
    sumMap(CAST((arrayDistinct(c.finish_reasons), arrayResize([1], length(arrayDistinct(c.finish_reasons)), 1)), 'Map(LowCardinality(String), UInt64)')) AS finish_reasons,
    -- Of a limit of tokens two digits are kept: some applications compute it for every call.
    sumMap(map(concat('template=', left(c.template_hash, 12), arrayStringConcat(arrayMap(
            (name, value) -> concat('\n', name, '=', if(name = 'gen_ai.request.max_tokens' AND length(value) > 2, concat(left(value, 2), 'e', toString(length(value) - 2)), left(value, 40))),
            mapKeys(mapFilter((name, value) -> name IN ('gen_ai.request.temperature', 'gen_ai.request.top_p', 'gen_ai.request.top_k', 'gen_ai.request.frequency_penalty', 'gen_ai.request.presence_penalty', 'gen_ai.request.max_tokens', 'gen_ai.request.reasoning_effort', 'gen_ai.openai.response.system_fingerprint', 'openai.response.system_fingerprint', 'gen_ai.response.system_fingerprint'), c.attributes) AS chosen),
            mapValues(chosen)))), toUInt64(1))) AS settings,
    min(c.ts) AS first_call,
    max(c.ts) AS last_call
FROM priced_calls AS c
WHERE c.billable AND toStartOfHour(c.ts) IN (SELECT arrayJoin({hours:Array(DateTime('UTC'))}))
GROUP BY hour, tenant, environment, service, feature, prompt_name, prompt_version, operation, provider, request_model, response_model, service_tier, tags, status, price_status, price_id, rate_id;

-- What pages read of long ranges: the ledger without what no page filters by (tenants, tiers, prices, ...), a tenth of its rows.

-- Read prompt_hours instead: this table holds earlier revisions of an hour too. Written with hourly_rows, in the same way.
CREATE TABLE prompt_hour_rows
(
    hour DateTime('UTC') COMMENT 'start of the hour, UTC' CODEC(Delta(4), ZSTD(1)),
    feature LowCardinality(String) CODEC(ZSTD(1)),
    prompt_name LowCardinality(String) CODEC(ZSTD(1)),
    prompt_version LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    request_model LowCardinality(String) CODEC(ZSTD(1)),
    calls UInt64 COMMENT 'billable calls' CODEC(T64, ZSTD(1)),
    errors UInt64 COMMENT 'calls with status error' CODEC(T64, ZSTD(1)),
    cancelled UInt64 CODEC(T64, ZSTD(1)),
    incomplete UInt64 CODEC(T64, ZSTD(1)),
    estimated UInt64 COMMENT 'calls whose tokens are an estimate' CODEC(T64, ZSTD(1)),
    flagged UInt64 COMMENT 'calls with a safety flag' CODEC(T64, ZSTD(1)),
    flags Map(LowCardinality(String), UInt64) COMMENT 'calls by safety flag' CODEC(ZSTD(1)),
    models Map(LowCardinality(String), UInt64) COMMENT 'answered calls by the model that answered, by the one asked for where the answer names none' CODEC(ZSTD(1)),
    input_calls UInt64 COMMENT 'calls whose input tokens are known' CODEC(T64, ZSTD(1)),
    output_calls UInt64 COMMENT 'calls whose output tokens are known' CODEC(T64, ZSTD(1)),
    input_tokens UInt64 COMMENT 'tokens, inclusive; unknown ones are not in it' CODEC(T64, ZSTD(1)),
    output_tokens UInt64 COMMENT 'tokens, inclusive; unknown ones are not in it' CODEC(T64, ZSTD(1)),
    cost_calls UInt64 COMMENT 'calls with a cost' CODEC(T64, ZSTD(1)),
    no_usage_calls UInt64 COMMENT 'calls without a cost because their usage is not known' CODEC(T64, ZSTD(1)),
    cost_usd Decimal(38, 9) COMMENT 'USD, exact; calls without a cost are not in it' CODEC(ZSTD(1)),
    wasted_calls UInt64 COMMENT 'calls with a cost and another status than ok' CODEC(T64, ZSTD(1)),
    wasted_usd Decimal(38, 9) COMMENT 'USD, exact: what those cost' CODEC(ZSTD(1)),
    cost_usd_max Nullable(Decimal(18, 9)) COMMENT 'USD, the dearest call' CODEC(ZSTD(1)),
    duration_ms_max Float64 COMMENT 'ms, the slowest call' CODEC(ZSTD(1)),
    duration_hist Map(UInt16, UInt64) COMMENT 'calls by floor(log2(duration_ms + 1) * 8)' CODEC(ZSTD(1)),
    ttft_hist Map(UInt16, UInt64) COMMENT 'calls by floor(log2(ttft_ms + 1) * 8)' CODEC(ZSTD(1)),
    output_tokens_hist Map(UInt16, UInt64) COMMENT 'calls by floor(log2(output_tokens + 1) * 8)' CODEC(ZSTD(1)),
    latency_log_sum Float64 COMMENT 'sum of ln(duration_ms + 1) over calls with status ok' CODEC(ZSTD(1)),
    latency_log_sumsq Float64 COMMENT 'sum of its squares' CODEC(ZSTD(1)),
    input_log_sum Float64 COMMENT 'sum of ln(input_tokens + 1) over input_calls' CODEC(ZSTD(1)),
    input_log_sumsq Float64 COMMENT 'sum of its squares' CODEC(ZSTD(1)),
    output_log_sum Float64 COMMENT 'sum of ln(output_tokens + 1) over output_calls' CODEC(ZSTD(1)),
    output_log_sumsq Float64 COMMENT 'sum of its squares' CODEC(ZSTD(1)),
    cost_log_calls UInt64 COMMENT 'calls that cost more than nothing' CODEC(T64, ZSTD(1)),
    cost_log_sum Float64 COMMENT 'sum of ln(cost in 1e-9 USD + 1) over cost_log_calls' CODEC(ZSTD(1)),
    cost_log_sumsq Float64 COMMENT 'sum of its squares' CODEC(ZSTD(1)),
    finish_reasons Map(LowCardinality(String), UInt64) COMMENT 'calls by finish reason' CODEC(ZSTD(1)),
    settings Map(LowCardinality(String), UInt64) COMMENT 'calls by what they were made with, in lines: provider=, price= (rate_id), template=, parameters and fingerprints under their own names' CODEC(ZSTD(1)),
    sketched UInt64 COMMENT 'calls with a sketch of their answer' CODEC(T64, ZSTD(1)),
    sketch_groups Array(UInt32) COMMENT 'those of them with words of each of the 64 groups, empty if there are none: read with sumForEach' CODEC(ZSTD(1)),
    first_call DateTime64(9, 'UTC') COMMENT 'start of the first call, UTC' CODEC(Delta(8), ZSTD(1)),
    last_call DateTime64(9, 'UTC') COMMENT 'start of the last call, UTC' CODEC(Delta(8), ZSTD(1)),
    revision UInt64 COMMENT 'higher replaces lower' CODEC(ZSTD(1)),
    gone UInt8 COMMENT '1: this group is no longer in the hour' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(revision, gone)
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, feature, prompt_name, prompt_version, environment, service, request_model)
SETTINGS non_replicated_deduplication_window = 0;

-- What of it comes from the calls and not from the ledger, which finance keeps for years and has no use for words:
-- sketches_of_calls(hours = [...]).
CREATE VIEW sketches_of_calls AS
SELECT
    toStartOfHour(ts)::DateTime('UTC') AS hour,
    feature,
    prompt_name,
    prompt_version,
    environment,
    service,
    request_model,
    count() AS sketched,
    -- Two counts to a number, half as many to add up.
    sumForEach(arrayMap(n -> bitAnd(bitShiftRight(assumeNotNull(output_sketch), n), 0x0000000100000001), range(32))) AS pairs,
    arrayConcat(arrayMap(pair -> toUInt32(bitAnd(pair, 0xFFFFFFFF)), pairs), arrayMap(pair -> toUInt32(bitShiftRight(pair, 32)), pairs)) AS sketch_groups
FROM llm_calls_once
WHERE billable AND output_sketch IS NOT NULL AND toStartOfHour(ts) IN (SELECT arrayJoin({hours:Array(DateTime('UTC'))}))
GROUP BY hour, feature, prompt_name, prompt_version, environment, service, request_model;

-- What adds up to the calls of one stretch of time, exactly: prompt_hours(since = ..., until = ...). Of whole hours to which
-- nothing happened since they were computed it has the sums, of all others the calls, one row each: readers add up anyway, and
-- the engine drops what they do not ask for. Pages read this text in the place of its name (queries/hours.py), which lets it drop
-- that before it plans.
CREATE VIEW prompt_hours AS
SELECT * EXCEPT (revision, gone)
FROM prompt_hour_rows FINAL
WHERE hour >= {since:DateTime64(9, 'UTC')} AND hour < toStartOfHour({until:DateTime64(9, 'UTC')}) AND hour NOT IN (SELECT hour FROM open_hours)
UNION ALL
SELECT
    toStartOfHour(c.ts)::DateTime('UTC') AS hour,
    feature,
    prompt_name,
    prompt_version,
    environment,
    service,
    request_model,
    toUInt64(1) AS calls,
    toUInt64(c.status = 'error') AS errors,
    toUInt64(c.status = 'cancelled') AS cancelled,
    toUInt64(c.status = 'incomplete') AS incomplete,
    toUInt64(c.usage_source = 'estimated') AS estimated,
    toUInt64(notEmpty(c.safety_flags)) AS flagged,
    CAST((arrayDistinct(c.safety_flags), arrayResize([1], length(arrayDistinct(c.safety_flags)), 1)), 'Map(LowCardinality(String), UInt64)') AS flags,
    if(c.response_model = '' AND c.status != 'ok', map(), map(if(c.response_model != '', c.response_model, c.request_model), toUInt64(1))) AS models,
    toUInt64(c.input_tokens IS NOT NULL) AS input_calls,
    toUInt64(c.output_tokens IS NOT NULL) AS output_calls,
    ifNull(c.input_tokens, 0) AS input_tokens,
    ifNull(c.output_tokens, 0) AS output_tokens,
    toUInt64(c.cost_usd IS NOT NULL) AS cost_calls,
    toUInt64(c.price_status = 'no_usage') AS no_usage_calls,
    toDecimal128(ifNull(c.cost_usd, 0), 9) AS cost_usd,
    toUInt64(c.cost_usd IS NOT NULL AND c.status != 'ok') AS wasted_calls,
    if(c.status != 'ok', toDecimal128(ifNull(c.cost_usd, 0), 9), 0) AS wasted_usd,
    c.cost_usd AS cost_usd_max,
    c.duration_ms AS duration_ms_max,
    map(toUInt16(floor(log2(c.duration_ms + 1) * 8)), toUInt64(1)) AS duration_hist,
    if(c.ttft_ms IS NULL, map(), map(toUInt16(floor(log2(ifNull(c.ttft_ms, 0) + 1) * 8)), toUInt64(1))) AS ttft_hist,
    if(c.output_tokens IS NULL, map(), map(toUInt16(floor(log2(ifNull(c.output_tokens, 0) + 1) * 8)), toUInt64(1))) AS output_tokens_hist,
    if(c.status = 'ok', log(c.duration_ms + 1), 0) AS latency_log_sum,
    if(c.status = 'ok', pow(log(c.duration_ms + 1), 2), 0) AS latency_log_sumsq,
    ifNull(log(c.input_tokens + 1), 0) AS input_log_sum,
    ifNull(pow(log(c.input_tokens + 1), 2), 0) AS input_log_sumsq,
    ifNull(log(c.output_tokens + 1), 0) AS output_log_sum,
    ifNull(pow(log(c.output_tokens + 1), 2), 0) AS output_log_sumsq,
    toUInt64(ifNull(c.cost_usd > 0, 0)) AS cost_log_calls,
    ifNull(log(toFloat64(c.cost_usd) * 1e9 + 1), 0) AS cost_log_sum,
    ifNull(pow(log(toFloat64(c.cost_usd) * 1e9 + 1), 2), 0) AS cost_log_sumsq,
    CAST((arrayDistinct(c.finish_reasons), arrayResize([1], length(arrayDistinct(c.finish_reasons)), 1)), 'Map(LowCardinality(String), UInt64)') AS finish_reasons,
    map(concat('provider=', c.provider, '\nprice=', if(c.cost_usd IS NULL, '', c.rate_id), '\n', 'template=', left(c.template_hash, 12), arrayStringConcat(arrayMap(
            (name, value) -> concat('\n', name, '=', if(name = 'gen_ai.request.max_tokens' AND length(value) > 2, concat(left(value, 2), 'e', toString(length(value) - 2)), left(value, 40))),
            mapKeys(mapFilter((name, value) -> name IN ('gen_ai.request.temperature', 'gen_ai.request.top_p', 'gen_ai.request.top_k', 'gen_ai.request.frequency_penalty', 'gen_ai.request.presence_penalty', 'gen_ai.request.max_tokens', 'gen_ai.request.reasoning_effort', 'gen_ai.openai.response.system_fingerprint', 'openai.response.system_fingerprint', 'gen_ai.response.system_fingerprint'), c.attributes) AS chosen),
            mapValues(chosen)))), toUInt64(1)) AS settings,
    toUInt64(c.output_sketch IS NOT NULL) AS sketched,
    if(c.output_sketch IS NULL, [], arrayMap(n -> toUInt32(bitTest(assumeNotNull(c.output_sketch), n)), range(64))) AS sketch_groups,
    c.ts AS first_call,
    c.ts AS last_call
FROM priced_calls AS c
WHERE c.billable AND c.ts >= {since:DateTime64(9, 'UTC')} AND c.ts < {until:DateTime64(9, 'UTC')}
    AND (
        toStartOfHour(c.ts) < {since:DateTime64(9, 'UTC')}
        OR toStartOfHour(c.ts) >= toStartOfHour({until:DateTime64(9, 'UTC')})
        OR toStartOfHour(c.ts) IN (SELECT hour FROM open_hours));
