-- Closed months. A revision is frozen as a whole: its rows, files and reconciliations carry its close_id, and it counts once
-- closes has it; what an attempt left that was cut off is read by nobody. What comes later changes nothing here: it is a new
-- revision's difference to the one before.

-- Which months are closed; read closed_months instead.
CREATE TABLE closes
(
    month Date COMMENT 'first day, UTC',
    revision UInt32 COMMENT '1, 2, ...',
    close_id String COMMENT 'of one attempt to close',
    closed_at DateTime64(6, 'UTC') COMMENT 'UTC',
    note String COMMENT 'why, as whoever closed it said',
    calls UInt64 COMMENT 'billable calls of the month, as of this revision',
    uncharged_calls UInt64 COMMENT 'those of them without a known cost',
    cost_usd Decimal(38, 9) COMMENT 'USD, exact sum of the ledger, as of this revision',
    adjusted_usd Decimal(38, 9) COMMENT 'USD, difference to the revision before; cost_usd in the first',
    price_book String COMMENT 'price_books.book that was in force',
    price_book_version String COMMENT 'for people',
    reporting_currency String COMMENT 'ISO 4217; empty for none',
    manifest String COMMENT 'JSON: SHA-256 and size of every file of the pack'
)
ENGINE = MergeTree
ORDER BY (month, revision, closed_at)
SETTINGS non_replicated_deduplication_window = 0;

-- The ledger of a month, as its first revision found it; of each later one the difference: counts are negative where something went.
CREATE TABLE closed_rows
(
    close_id String COMMENT 'closes.close_id' CODEC(ZSTD(1)),
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
    tags LowCardinality(String) CODEC(ZSTD(1)),
    status LowCardinality(String) CODEC(ZSTD(1)),
    price_status LowCardinality(String) CODEC(ZSTD(1)),
    price_id LowCardinality(String) CODEC(ZSTD(1)),
    rate_id LowCardinality(String) COMMENT 'price_rates.rate_id: the same price in every book' CODEC(ZSTD(1)),
    calls Int64 COMMENT 'this and the next, as in hourly_rows' CODEC(T64, ZSTD(1)),
    retries Int64 CODEC(T64, ZSTD(1)),
    estimated Int64 CODEC(T64, ZSTD(1)),
    uncached_input_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    cache_read_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    cache_write_5m_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    cache_write_1h_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    audio_input_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    output_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    reasoning_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    audio_output_tokens Int64 COMMENT 'tokens' CODEC(T64, ZSTD(1)),
    cost_usd Decimal(38, 9) COMMENT 'USD' CODEC(ZSTD(1)),
    retries_cost_usd Decimal(38, 9) COMMENT 'USD' CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (close_id, hour, feature, prompt_name, prompt_version)
SETTINGS non_replicated_deduplication_window = 0;

-- The texts that a revision was made by: allocation rules, exchange rates, the price file, queries, reconciliations.
CREATE TABLE close_files
(
    close_id String COMMENT 'closes.close_id',
    name String COMMENT 'in the pack',
    content String CODEC(ZSTD(3)),
    sha256 String COMMENT 'of content, hex'
)
ENGINE = MergeTree
ORDER BY (close_id, name)
SETTINGS non_replicated_deduplication_window = 0;

-- What a provider's bill came to beside the ledger; of a provider and a month the latest counts.
CREATE TABLE reconciliations
(
    month Date COMMENT 'first day, UTC',
    provider LowCardinality(String),
    reconciled_at DateTime64(6, 'UTC') COMMENT 'UTC',
    invoice String COMMENT 'number of the invoice, as whoever reconciled said; empty if unsaid',
    billed_usd Decimal(38, 9) COMMENT 'USD, by the provider',
    ledger_usd Decimal(38, 9) COMMENT 'USD, by the ledger',
    unexplained_usd Decimal(38, 9) COMMENT 'USD, the part of the difference that nothing explains',
    report String COMMENT 'JSON, whole' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(reconciled_at)
ORDER BY (month, provider)
SETTINGS non_replicated_deduplication_window = 0;

-- Of several who close the same revision at the same moment, the first counts.
CREATE VIEW closed_months AS
SELECT *
FROM closes
ORDER BY month, revision, closed_at, close_id
LIMIT 1 BY month, revision;

-- As llm_hourly, of closed months: revision N of a month is the sum of its rows of the revisions up to N.
CREATE VIEW closed_hourly AS
SELECT
    *,
    if(status = 'error', calls, 0) AS errors,
    if(status = 'cancelled', calls, 0) AS cancelled,
    if(status = 'incomplete', calls, 0) AS incomplete,
    if(price_status = 'priced', calls, 0) AS priced_calls,
    if(price_status = 'reported', calls, 0) AS reported_calls,
    if(price_status = 'unpriced', calls, 0) AS unpriced_calls,
    if(price_status = 'no_usage', calls, 0) AS no_usage_calls
FROM closed_rows;
