-- What money reads: the calls, each once, with what they cost and why.

-- The prices of every book by the names that calls have: what llm_costs joins on. Filled when a name is matched. Tenants with a
-- contract have keys of their own.
CREATE TABLE price_keys
(
    book String COMMENT 'price_books.book' CODEC(ZSTD(1)),
    key UInt64 COMMENT 'price_names.name_key; with the tenant hashed into it where the price is a contract of one' CODEC(ZSTD(1)),
    price_id String COMMENT 'price_rates.price_id, like all that follows' CODEC(ZSTD(1)),
    tier LowCardinality(String) CODEC(ZSTD(1)),
    tenant String CODEC(ZSTD(1)),
    rate_id String CODEC(ZSTD(1)),
    contract String CODEC(ZSTD(1)),
    valid_from DateTime('UTC') CODEC(ZSTD(1)),
    valid_to DateTime('UTC') CODEC(ZSTD(1)),
    day_from_s UInt32 CODEC(ZSTD(1)),
    day_to_s UInt32 CODEC(ZSTD(1)),
    input_from UInt64 CODEC(ZSTD(1)),
    input_to UInt64 CODEC(ZSTD(1)),
    meters UInt8 CODEC(ZSTD(1)),
    input_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    cache_read_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    cache_write_5m_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    cache_write_1h_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    audio_input_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    output_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    reasoning_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    audio_output_usd_per_mtok Decimal(38, 18) CODEC(ZSTD(1)),
    request_usd Decimal(38, 18) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (book, key, valid_from, day_from_s, input_from)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW price_keys_mv TO price_keys AS
SELECT
    n.book AS book,
    if(r.tenant = '', n.name_key, cityHash64(n.name_key, r.tenant)) AS key,
    r.price_id AS price_id,
    r.tier AS tier,
    r.tenant AS tenant,
    r.rate_id AS rate_id,
    r.contract AS contract,
    r.valid_from AS valid_from,
    r.valid_to AS valid_to,
    r.day_from_s AS day_from_s,
    r.day_to_s AS day_to_s,
    r.input_from AS input_from,
    r.input_to AS input_to,
    r.meters AS meters,
    r.input_usd_per_mtok AS input_usd_per_mtok,
    r.cache_read_usd_per_mtok AS cache_read_usd_per_mtok,
    r.cache_write_5m_usd_per_mtok AS cache_write_5m_usd_per_mtok,
    r.cache_write_1h_usd_per_mtok AS cache_write_1h_usd_per_mtok,
    r.audio_input_usd_per_mtok AS audio_input_usd_per_mtok,
    r.output_usd_per_mtok AS output_usd_per_mtok,
    r.reasoning_usd_per_mtok AS reasoning_usd_per_mtok,
    r.audio_output_usd_per_mtok AS audio_output_usd_per_mtok,
    r.request_usd AS request_usd
FROM price_names AS n
INNER JOIN price_rates AS r ON r.book = n.book AND r.price_id = n.price_id AND r.tier = n.tier
WHERE n.price_id != '';

-- cost_usd = sum over the disjoint buckets of tokens x USD per million tokens, plus the price of the request: in exact
-- decimals, rounded once, half up, to 9 places. price_status says where it comes from, or why it is NULL:
--   priced        by the price in force at the call's second (0 if a cache of the application answered: nothing was bought)
--   reported      the provider itself returned the cost: it wins over ours
--   unpriced      usage is known, but no price: the model is not in the book, or a bucket with tokens in it has no price,
--                 or a bucket holds more than a billion tokens, which no call has
--   no_usage      input or output tokens are not known (embeddings and reranking have no output)
--   not_billable  not a model call, or another span of a call that is counted already: never part of any coverage
-- context_window_share is how full the model was, input and output together; NULL where its window or the usage is not known.
-- The buckets: uncached input = input - cache reads - cache writes, never below 0. Audio is taken from it as far as it
-- goes (audio that was cached too is billed as cached), the rest is text. Reasoning and audio are taken from the output.
-- The engine plans this text for every question: few steps, and each expression once, keep that at a few milliseconds.
CREATE VIEW llm_costs AS
WITH (SELECT argMax(book, applied_at) FROM price_books) AS current
SELECT
    c.* EXCEPT (
        input_, cache_read_, write_5m_, write_1h_, output_, uncached_, audio_in_, text_in_, reasoning_, audio_out_, text_out_,
        sane_, known_, used_, second_of_day_, name_key_, key_),
    toUInt64(c.uncached_) AS uncached_input_tokens,
    -- ifNull for readers who set join_use_nulls: no price row is an empty price_id either way.
    ifNull(k.price_id, '') AS price_id,
    ifNull(k.tier, '') AS price_tier,
    ifNull(k.contract, '') AS price_contract,
    if(price_id = '', NULL, k.valid_from) AS price_valid_from,
    if(bitTest(k.meters, 0), k.input_usd_per_mtok, NULL) AS input_usd_per_mtok,
    if(bitTest(k.meters, 1), k.cache_read_usd_per_mtok, NULL) AS cache_read_usd_per_mtok,
    if(bitTest(k.meters, 2), k.cache_write_5m_usd_per_mtok, NULL) AS cache_write_5m_usd_per_mtok,
    if(bitTest(k.meters, 3), k.cache_write_1h_usd_per_mtok, NULL) AS cache_write_1h_usd_per_mtok,
    if(bitTest(k.meters, 4), k.audio_input_usd_per_mtok, NULL) AS audio_input_usd_per_mtok,
    if(bitTest(k.meters, 5), k.output_usd_per_mtok, NULL) AS output_usd_per_mtok,
    if(bitTest(k.meters, 6), k.reasoning_usd_per_mtok, NULL) AS reasoning_usd_per_mtok,
    if(bitTest(k.meters, 7), k.audio_output_usd_per_mtok, NULL) AS audio_output_usd_per_mtok,
    if(price_id = '', NULL, k.request_usd) AS request_usd,
    nullIf(ifNull(k.context_window, 0), 0) AS context_window,
    if(c.known_, (c.input_ + c.output_) / context_window, NULL) AS context_window_share,
    CAST(multiIf(
        NOT c.billable, 'not_billable',
        c.reported_cost_usd IS NOT NULL, 'reported',
        c.cached, 'priced',
        NOT c.known_, 'no_usage',
        ifNull(k.meters, 0) = 0 OR NOT c.sane_ OR bitAnd(c.used_, bitNot(k.meters)) != 0, 'unpriced',
        'priced') AS LowCardinality(String)) AS price_status,
    -- Only where it made the cost: tokens x this rate is then the cost.
    if(price_status = 'priced' AND NOT c.cached, ifNull(k.rate_id, ''), '') AS rate_id,
    multiIf(
        price_status = 'reported', c.reported_cost_usd,
        price_status != 'priced', NULL,
        c.cached, toDecimal64(0, 9),
        -- Millionths of a dollar: three places of them are nine places of a dollar.
        CAST(CAST(round(
                c.text_in_ * k.input_usd_per_mtok
                + c.cache_read_ * k.cache_read_usd_per_mtok
                + c.write_5m_ * k.cache_write_5m_usd_per_mtok
                + c.write_1h_ * k.cache_write_1h_usd_per_mtok
                + c.audio_in_ * k.audio_input_usd_per_mtok
                + c.text_out_ * k.output_usd_per_mtok
                + c.reasoning_ * k.reasoning_usd_per_mtok
                + c.audio_out_ * k.audio_output_usd_per_mtok
                + k.request_usd * 1000000, 3) AS Nullable(Decimal(38, 3))) * toDecimal32('0.000001', 6) AS Nullable(Decimal(18, 9)))
    ) AS cost_usd
FROM
(
    SELECT
        o.*,
        -- A missing part of a known total is 0; a missing total is no_usage, above.
        toInt64(least(ifNull(input_tokens, 0), 1000000001)) AS input_,
        toInt64(least(ifNull(cache_read_tokens, 0), 1000000001)) AS cache_read_,
        toInt64(least(ifNull(cache_write_5m_tokens, 0), 1000000001)) AS write_5m_,
        toInt64(least(ifNull(cache_write_1h_tokens, 0), 1000000001)) AS write_1h_,
        toInt64(least(ifNull(output_tokens, 0), 1000000001)) AS output_,
        greatest(toInt64(0), input_ - cache_read_ - write_5m_ - write_1h_) AS uncached_,
        toInt64(least(ifNull(audio_input_tokens, 0), uncached_)) AS audio_in_,
        uncached_ - audio_in_ AS text_in_,
        toInt64(least(ifNull(reasoning_tokens, 0), output_)) AS reasoning_,
        toInt64(least(ifNull(audio_output_tokens, 0), output_ - reasoning_)) AS audio_out_,
        output_ - reasoning_ - audio_out_ AS text_out_,
        greatest(input_, cache_read_, write_5m_, write_1h_, output_) <= 1000000000 AS sane_,
        input_tokens IS NOT NULL AND (output_tokens IS NOT NULL OR operation IN ('embeddings', 'rerank')) AS known_,
        bitShiftLeft(toUInt8(text_in_ > 0), 0)
                + bitShiftLeft(toUInt8(cache_read_ > 0), 1)
                + bitShiftLeft(toUInt8(write_5m_ > 0), 2)
                + bitShiftLeft(toUInt8(write_1h_ > 0), 3)
                + bitShiftLeft(toUInt8(audio_in_ > 0), 4)
                + bitShiftLeft(toUInt8(text_out_ > 0), 5)
                + bitShiftLeft(toUInt8(reasoning_ > 0), 6)
                + bitShiftLeft(toUInt8(audio_out_ > 0), 7) AS used_,
        toUInt32(toUnixTimestamp(ts) % 86400) AS second_of_day_,
        cityHash64(provider, request_model, response_model, service_tier) AS name_key_,
        if(
            tenant != '' AND cityHash64(name_key_, tenant) IN (SELECT key FROM price_keys WHERE book = current AND price_keys.tenant != ''),
            cityHash64(name_key_, tenant),
            name_key_) AS key_
    FROM llm_calls_once AS o
) AS c
LEFT JOIN
(
    SELECT p.*, w.context_window AS context_window
    FROM (SELECT * FROM price_keys FINAL WHERE book = current) AS p
    LEFT JOIN (SELECT * FROM model_windows FINAL) AS w ON w.price_id = p.price_id
) AS k
    ON k.key = c.key_
    AND c.ts >= k.valid_from AND c.ts < k.valid_to
    AND c.input_ >= k.input_from AND c.input_ < k.input_to
    AND c.second_of_day_ >= k.day_from_s AND c.second_of_day_ < k.day_to_s;
