-- What money reads: the calls, each once, with what they cost and why.

-- The prices in force, by the names that calls have: what llm_costs joins on. Tenants with a contract have keys of their own.
CREATE VIEW price_keys AS
WITH (SELECT argMax(book, applied_at) FROM price_books) AS current
SELECT
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
    r.request_usd AS request_usd,
    w.context_window AS context_window
FROM (SELECT name_key, price_id, tier FROM price_names FINAL WHERE book = current AND price_id != '') AS n
INNER JOIN (SELECT * FROM price_rates FINAL WHERE book = current) AS r ON r.price_id = n.price_id AND r.tier = n.tier
LEFT JOIN (SELECT * FROM model_windows FINAL) AS w ON w.price_id = n.price_id;

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
CREATE VIEW llm_costs AS
SELECT
    * EXCEPT (
        input_, cache_read_, write_5m_, write_1h_, audio_, output_, thought_, spoken_, sane_, known_, second_of_day_, name_key_, key_,
        uncached_, audio_in_, text_in_, reasoning_, audio_out_, text_out_, rate_, micro_usd_),
    CAST(multiIf(
        NOT billable, 'not_billable',
        reported_cost_usd IS NOT NULL, 'reported',
        cached, 'priced',
        NOT known_, 'no_usage',
        micro_usd_ IS NULL, 'unpriced',
        'priced') AS LowCardinality(String)) AS price_status,
    -- Only where it made the cost: tokens x this rate is then the cost.
    if(price_status = 'priced' AND NOT cached, rate_, '') AS rate_id,
    multiIf(
        NOT billable, NULL,
        reported_cost_usd IS NOT NULL, reported_cost_usd,
        cached, toDecimal64(0, 9),
        NOT known_, NULL,
        -- micro_usd_ counts millionths of a dollar: three places of it are nine places of a dollar.
        CAST(CAST(round(micro_usd_, 3) AS Nullable(Decimal(38, 3))) * toDecimal32('0.000001', 6) AS Nullable(Decimal(18, 9)))
    ) AS cost_usd
FROM
(
    SELECT
        c.*,
        toUInt64(text_in_ + audio_in_) AS uncached_input_tokens,
        -- ifNull for readers who set join_use_nulls: no price row is an empty price_id either way.
        ifNull(k.price_id, '') AS price_id,
        ifNull(k.tier, '') AS price_tier,
        ifNull(k.contract, '') AS price_contract,
        ifNull(k.rate_id, '') AS rate_,
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
        if(known_, (input_ + output_) / context_window, NULL) AS context_window_share,
        if(
            k.meters != 0 AND sane_ AND bitAnd(
                bitShiftLeft(toUInt8(text_in_ > 0), 0)
                + bitShiftLeft(toUInt8(cache_read_ > 0), 1)
                + bitShiftLeft(toUInt8(write_5m_ > 0), 2)
                + bitShiftLeft(toUInt8(write_1h_ > 0), 3)
                + bitShiftLeft(toUInt8(audio_in_ > 0), 4)
                + bitShiftLeft(toUInt8(text_out_ > 0), 5)
                + bitShiftLeft(toUInt8(reasoning_ > 0), 6)
                + bitShiftLeft(toUInt8(audio_out_ > 0), 7),
                bitNot(k.meters)) = 0,
            text_in_ * k.input_usd_per_mtok
                + cache_read_ * k.cache_read_usd_per_mtok
                + write_5m_ * k.cache_write_5m_usd_per_mtok
                + write_1h_ * k.cache_write_1h_usd_per_mtok
                + audio_in_ * k.audio_input_usd_per_mtok
                + text_out_ * k.output_usd_per_mtok
                + reasoning_ * k.reasoning_usd_per_mtok
                + audio_out_ * k.audio_output_usd_per_mtok
                + k.request_usd * 1000000,
            NULL) AS micro_usd_
    FROM
    (
        SELECT
            *,
            greatest(toInt64(0), input_ - cache_read_ - write_5m_ - write_1h_) AS uncached_,
            least(audio_, uncached_) AS audio_in_,
            uncached_ - audio_in_ AS text_in_,
            least(thought_, output_) AS reasoning_,
            least(spoken_, output_ - reasoning_) AS audio_out_,
            output_ - reasoning_ - audio_out_ AS text_out_
        FROM
        (
            SELECT
                *,
                -- A missing part of a known total is 0; a missing total is no_usage, above.
                toInt64(least(ifNull(input_tokens, 0), 1000000001)) AS input_,
                toInt64(least(ifNull(cache_read_tokens, 0), 1000000001)) AS cache_read_,
                toInt64(least(ifNull(cache_write_5m_tokens, 0), 1000000001)) AS write_5m_,
                toInt64(least(ifNull(cache_write_1h_tokens, 0), 1000000001)) AS write_1h_,
                toInt64(least(ifNull(audio_input_tokens, 0), 1000000001)) AS audio_,
                toInt64(least(ifNull(output_tokens, 0), 1000000001)) AS output_,
                toInt64(least(ifNull(reasoning_tokens, 0), 1000000001)) AS thought_,
                toInt64(least(ifNull(audio_output_tokens, 0), 1000000001)) AS spoken_,
                greatest(input_, cache_read_, write_5m_, write_1h_, output_) <= 1000000000 AS sane_,
                input_tokens IS NOT NULL AND (output_tokens IS NOT NULL OR operation IN ('embeddings', 'rerank')) AS known_,
                toUInt32(toUnixTimestamp(ts) % 86400) AS second_of_day_,
                cityHash64(provider, request_model, response_model, service_tier) AS name_key_,
                if(
                    tenant != '' AND cityHash64(name_key_, tenant) IN (SELECT key FROM price_keys WHERE price_keys.tenant != ''),
                    cityHash64(name_key_, tenant),
                    name_key_) AS key_
            FROM llm_calls_once
        )
    ) AS c
    LEFT JOIN price_keys AS k
        ON k.key = c.key_
        AND c.ts >= k.valid_from AND c.ts < k.valid_to
        AND c.input_ >= k.input_from AND c.input_ < k.input_to
        AND c.second_of_day_ >= k.day_from_s AND c.second_of_day_ < k.day_to_s
);
