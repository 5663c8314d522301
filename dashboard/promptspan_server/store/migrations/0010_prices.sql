-- Price books. A book is a set of price rows and name rows under one hash. Books are added whole, then made current by one
-- row of price_books: a reader sees the old one or the new one, never half of each. Old books stay, so that a closed month
-- can be computed again and two books can be compared.

-- The user's own price file, as imported; the latest row counts.
CREATE TABLE price_files
(
    imported_at DateTime64(6, 'UTC') COMMENT 'UTC',
    content String COMMENT 'prices.yaml, whole',
    sha256 String COMMENT 'of content, hex'
)
ENGINE = MergeTree
ORDER BY imported_at
SETTINGS non_replicated_deduplication_window = 0;

-- When which book became current; the latest row counts.
CREATE TABLE price_books
(
    applied_at DateTime64(6, 'UTC') COMMENT 'UTC',
    book String COMMENT 'SHA-256 of its rows, hex',
    version String COMMENT 'for people: genai-prices 0.2.3 + prices.yaml 1a2b3c4d',
    inputs String COMMENT 'SHA-256 of what it was built from, to see cheaply that nothing changed',
    models UInt32 COMMENT 'priced models',
    price_rows UInt32 COMMENT 'rows in price_rates'
)
ENGINE = MergeTree
ORDER BY applied_at
SETTINGS non_replicated_deduplication_window = 0;

-- What a model costs, and when. Of the rows of one (book, price_id, tier, tenant) at most one fits a call.
CREATE TABLE price_rates
(
    book String COMMENT 'price_books.book' CODEC(ZSTD(1)),
    price_id String COMMENT 'provider/model, as promptspan prices list shows it' CODEC(ZSTD(1)),
    tier LowCardinality(String) COMMENT 'batch, flex, priority, fast, ...; empty for the standard tier' CODEC(ZSTD(1)),
    tenant String COMMENT 'whose contract it is; empty for everybody else' CODEC(ZSTD(1)),
    valid_from DateTime('UTC') COMMENT 'UTC, inclusive; 1970-01-01 when no earlier price is known' CODEC(ZSTD(1)),
    valid_to DateTime('UTC') COMMENT 'UTC, exclusive' CODEC(ZSTD(1)),
    day_from_s UInt32 COMMENT 'seconds after midnight UTC, inclusive' CODEC(ZSTD(1)),
    day_to_s UInt32 COMMENT 'seconds after midnight UTC, exclusive' CODEC(ZSTD(1)),
    input_from UInt64 COMMENT 'tokens of inclusive input, inclusive' CODEC(ZSTD(1)),
    input_to UInt64 COMMENT 'tokens of inclusive input, exclusive' CODEC(ZSTD(1)),
    rate_id String COMMENT 'hash of this row without book and dates: the same price has the same id in every book' CODEC(ZSTD(1)),
    meters UInt8 COMMENT 'bit i set: bucket i (in the order below, from 0) has a price' CODEC(ZSTD(1)),
    input_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million uncached text tokens' CODEC(ZSTD(1)),
    cache_read_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million tokens; a bucket without its own price has its parent''s' CODEC(ZSTD(1)),
    cache_write_5m_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million tokens' CODEC(ZSTD(1)),
    cache_write_1h_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million tokens' CODEC(ZSTD(1)),
    audio_input_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million tokens' CODEC(ZSTD(1)),
    output_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million text tokens' CODEC(ZSTD(1)),
    reasoning_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million tokens' CODEC(ZSTD(1)),
    audio_output_usd_per_mtok Decimal(38, 18) COMMENT 'USD per million tokens' CODEC(ZSTD(1)),
    request_usd Decimal(38, 18) COMMENT 'USD for the call besides its tokens' CODEC(ZSTD(1)),
    list_usd_per_mtok Array(Nullable(Decimal(38, 18))) COMMENT 'public prices before the contract, in the same order' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'genai-prices or prices.yaml' CODEC(ZSTD(1)),
    contract String COMMENT 'the rule of prices.yaml that changed it; empty for a public price' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (book, price_id, tier, tenant, valid_from, day_from_s, input_from)
SETTINGS non_replicated_deduplication_window = 0;

-- How much a model can hold at once. No price: a window that is corrected changes no book, and no closed month.
CREATE TABLE model_windows
(
    price_id String COMMENT 'price_rates.price_id' CODEC(ZSTD(1)),
    context_window UInt64 COMMENT 'tokens, input and output together' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY price_id
SETTINGS non_replicated_deduplication_window = 0;

-- How names are recognised: one row is one test on a name in lower case, everything in it must hold, the lowest priority wins.
CREATE TABLE price_match
(
    book String COMMENT 'price_books.book' CODEC(ZSTD(1)),
    scope LowCardinality(String) COMMENT 'provider: a provider''s name; vendor: a model''s name where the provider is not known; model' CODEC(ZSTD(1)),
    provider LowCardinality(String) COMMENT 'among whose models to look (scope model)' CODEC(ZSTD(1)),
    priority Int32 COMMENT 'lower wins; negative for the user''s own names' CODEC(ZSTD(1)),
    alternative UInt32 COMMENT 'number among the tests of one target' CODEC(ZSTD(1)),
    target String COMMENT 'provider id (scopes provider, vendor) or price_id (scope model)' CODEC(ZSTD(1)),
    equals String COMMENT 'empty tests nothing, as in the next columns' CODEC(ZSTD(1)),
    starts String CODEC(ZSTD(1)),
    ends String CODEC(ZSTD(1)),
    contains Array(String) COMMENT 'every one must occur' CODEC(ZSTD(1)),
    patterns Array(String) COMMENT 'RE2; every one must match' CODEC(ZSTD(1)),
    not_patterns Array(String) COMMENT 'RE2; none may match' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (book, scope, provider, priority, target, alternative)
SETTINGS non_replicated_deduplication_window = 0;
