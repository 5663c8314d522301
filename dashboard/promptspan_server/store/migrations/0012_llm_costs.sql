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
-- The buckets, in the order of the meters: uncached input = input - cache reads - cache writes, never below 0. Audio is taken from
-- it as far as it goes (audio that was cached too is billed as cached), the rest is text. Reasoning and audio are taken from the output.
-- The engine plans this text for every question, and what takes its time are names of names: so the buckets are one array, and what
-- only the page of a call asks for is in llm_costs.
CREATE VIEW priced_calls AS
WITH (SELECT argMax(book, applied_at) FROM price_books) AS current
SELECT
    c.* EXCEPT (key_, second_of_day_, input_, sane_),
    -- Readers may set join_use_nulls: no price row is an empty price_id either way.
    ifNull(k.price_id, '') AS price_id,
    ifNull(k.tier, '') AS price_tier,
    ifNull(k.contract, '') AS price_contract,
    ifNull(k.valid_from, 0) AS valid_from,
    ifNull(k.meters, 0) AS meters,
    k.prices AS prices,
    k.request_usd AS request_price,
    CAST(multiIf(
        NOT c.billable, 'not_billable',
        c.reported_cost_usd IS NOT NULL, 'reported',
        c.cached, 'priced',
        NOT c.known, 'no_usage',
        meters = 0 OR NOT c.sane_ OR arrayExists((n, meter) -> n > 0 AND NOT bitTest(meters, meter), c.tokens, [0, 1, 2, 3, 4, 5, 6, 7]), 'unpriced',
        'priced') AS LowCardinality(String)) AS price_status,
    -- Only where it made the cost: tokens x this rate is then the cost.
    if(price_status = 'priced' AND NOT c.cached, ifNull(k.rate_id, ''), '') AS rate_id,
    multiIf(
        price_status = 'reported', c.reported_cost_usd,
        price_status != 'priced', NULL,
        c.cached, toDecimal64(0, 9),
        -- Millionths of a dollar: three places of them are nine places of a dollar.
        CAST(CAST(round(arraySum((n, usd) -> n * usd, c.tokens, arrayResize(prices, 8)) + request_price * 1000000, 3) AS Nullable(Decimal(38, 3))) * toDecimal32('0.000001', 6) AS Nullable(Decimal(18, 9)))
    ) AS cost_usd
FROM
(
    SELECT
        * EXCEPT (said_, name_key_),
        -- A missing part of a known total is 0; a missing total is no_usage, above.
        arrayMap(
            (uncached, thought) -> [
                uncached - least(said_[6], uncached), said_[2], said_[3], said_[4], least(said_[6], uncached),
                said_[5] - thought - least(said_[8], said_[5] - thought), thought, least(said_[8], said_[5] - thought)],
            [greatest(toInt64(0), said_[1] - said_[2] - said_[3] - said_[4])], [least(said_[7], said_[5])])[1] AS tokens,
        toUInt64(tokens[1] + tokens[5]) AS uncached_input_tokens,
        said_[1] AS input_,
        arrayMax(arraySlice(said_, 1, 5)) <= 1000000000 AS sane_,
        if(
            tenant != '' AND cityHash64(name_key_, tenant) IN (SELECT key FROM price_keys WHERE book = current AND price_keys.tenant != ''),
            cityHash64(name_key_, tenant),
            name_key_) AS key_
    FROM
    (
        SELECT
            *,
            arrayMap(
                n -> toInt64(least(ifNull(n, 0), 1000000001)),
                [input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, audio_input_tokens, reasoning_tokens, audio_output_tokens]) AS said_,
            input_tokens IS NOT NULL AND (output_tokens IS NOT NULL OR operation IN ('embeddings', 'rerank')) AS known,
            toUInt32(toUnixTimestamp(ts) % 86400) AS second_of_day_,
            cityHash64(provider, request_model, response_model, service_tier) AS name_key_
        FROM llm_calls_once
    )
) AS c
LEFT JOIN
(
    SELECT
        *,
        [input_usd_per_mtok, cache_read_usd_per_mtok, cache_write_5m_usd_per_mtok, cache_write_1h_usd_per_mtok,
            audio_input_usd_per_mtok, output_usd_per_mtok, reasoning_usd_per_mtok, audio_output_usd_per_mtok] AS prices
    FROM price_keys FINAL
    WHERE book = current
) AS k
    ON k.key = c.key_
    AND c.ts >= k.valid_from AND c.ts < k.valid_to
    AND c.input_ >= k.input_from AND c.input_ < k.input_to
    AND c.second_of_day_ >= k.day_from_s AND c.second_of_day_ < k.day_to_s;

-- The same with the prices that were used, and how full the model was: context_window_share is of input and output together;
-- NULL where its window or the usage is not known.
CREATE VIEW llm_costs AS
SELECT
    p.* EXCEPT (known, tokens, meters, prices, request_price, valid_from),
    if(p.price_id = '', NULL, p.valid_from) AS price_valid_from,
    if(bitTest(p.meters, 0), p.prices[1], NULL) AS input_usd_per_mtok,
    if(bitTest(p.meters, 1), p.prices[2], NULL) AS cache_read_usd_per_mtok,
    if(bitTest(p.meters, 2), p.prices[3], NULL) AS cache_write_5m_usd_per_mtok,
    if(bitTest(p.meters, 3), p.prices[4], NULL) AS cache_write_1h_usd_per_mtok,
    if(bitTest(p.meters, 4), p.prices[5], NULL) AS audio_input_usd_per_mtok,
    if(bitTest(p.meters, 5), p.prices[6], NULL) AS output_usd_per_mtok,
    if(bitTest(p.meters, 6), p.prices[7], NULL) AS reasoning_usd_per_mtok,
    if(bitTest(p.meters, 7), p.prices[8], NULL) AS audio_output_usd_per_mtok,
    if(p.price_id = '', NULL, p.request_price) AS request_usd,
    nullIf(ifNull(w.context_window, 0), 0) AS context_window,
    if(p.known, (ifNull(p.input_tokens, 0) + ifNull(p.output_tokens, 0)) / context_window, NULL) AS context_window_share
FROM priced_calls AS p
LEFT JOIN (SELECT price_id AS id, context_window FROM model_windows FINAL) AS w ON w.id = p.price_id;
