-- What readers see. The column names of llm_calls are a contract; `DESCRIBE llm_calls` explains them.

CREATE TABLE llm_calls
(
    ts DateTime64(9, 'UTC') COMMENT 'start of the call, UTC' CODEC(Delta(8), ZSTD(1)),
    duration_ms Float64 COMMENT 'ms, start to end' CODEC(ZSTD(1)),
    ttft_ms Nullable(Float64) COMMENT 'ms from start to the first chunk; NULL if not streamed or not recorded' CODEC(ZSTD(1)),
    trace_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    span_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    parent_span_id String COMMENT 'lower case hex, empty for a root' CODEC(ZSTD(1)),
    response_id String COMMENT 'the id that the provider gave to its answer' CODEC(ZSTD(1)),
    service LowCardinality(String) COMMENT 'service.name' CODEC(ZSTD(1)),
    environment LowCardinality(String) COMMENT 'deployment.environment.name' CODEC(ZSTD(1)),
    feature LowCardinality(String) COMMENT 'what finance books the call on' CODEC(ZSTD(1)),
    tenant LowCardinality(String) COMMENT 'whose call it was' CODEC(ZSTD(1)),
    user_id String COMMENT 'hashed by our SDK unless told otherwise' CODEC(ZSTD(1)),
    session_id String COMMENT 'session or conversation' CODEC(ZSTD(1)),
    prompt_name LowCardinality(String) CODEC(ZSTD(1)),
    prompt_version LowCardinality(String) COMMENT 'as given, else the beginning of template_hash' CODEC(ZSTD(1)),
    template_hash String COMMENT 'SHA-256 of the template, hex' CODEC(ZSTD(1)),
    operation LowCardinality(String) COMMENT 'GenAI operation: chat, text_completion, embeddings, invoke_agent, execute_tool, ...' CODEC(ZSTD(1)),
    provider LowCardinality(String) COMMENT 'GenAI well-known name, lower case; empty if not recorded' CODEC(ZSTD(1)),
    request_model LowCardinality(String) COMMENT 'as asked for, lower case; empty if not recorded' CODEC(ZSTD(1)),
    response_model LowCardinality(String) COMMENT 'as answered, lower case; empty if not recorded' CODEC(ZSTD(1)),
    input_tokens Nullable(UInt64) COMMENT 'tokens; all input: cache reads and writes and audio included' CODEC(T64, ZSTD(1)),
    cache_read_tokens Nullable(UInt64) COMMENT 'tokens; part of input_tokens' CODEC(T64, ZSTD(1)),
    cache_write_5m_tokens Nullable(UInt64) COMMENT 'tokens; part of input_tokens; also writes whose lifetime is not recorded' CODEC(T64, ZSTD(1)),
    cache_write_1h_tokens Nullable(UInt64) COMMENT 'tokens; part of input_tokens' CODEC(T64, ZSTD(1)),
    audio_input_tokens Nullable(UInt64) COMMENT 'tokens; part of input_tokens' CODEC(T64, ZSTD(1)),
    output_tokens Nullable(UInt64) COMMENT 'tokens; all output: reasoning and audio included' CODEC(T64, ZSTD(1)),
    reasoning_tokens Nullable(UInt64) COMMENT 'tokens; part of output_tokens' CODEC(T64, ZSTD(1)),
    audio_output_tokens Nullable(UInt64) COMMENT 'tokens; part of output_tokens' CODEC(T64, ZSTD(1)),
    usage_source LowCardinality(String) COMMENT 'provider, estimated or missing' CODEC(ZSTD(1)),
    service_tier LowCardinality(String) COMMENT 'tier that answered: default, flex, priority, batch, ...; empty if not recorded' CODEC(ZSTD(1)),
    reported_cost_usd Nullable(Decimal(18, 9)) COMMENT 'USD; only if the provider itself returned it' CODEC(ZSTD(1)),
    billable Bool COMMENT 'a model call that somebody pays for; false for wrappers, agents, tools, HTTP spans' CODEC(ZSTD(1)),
    streaming Bool CODEC(ZSTD(1)),
    status LowCardinality(String) COMMENT 'ok, error, cancelled or incomplete' CODEC(ZSTD(1)),
    error_type LowCardinality(String) COMMENT 'class of the exception or code of the answer; empty if none' CODEC(ZSTD(1)),
    finish_reasons Array(LowCardinality(String)) COMMENT 'OpenAI vocabulary: stop, length, tool_calls, content_filter, ...' CODEC(ZSTD(1)),
    attempt UInt16 COMMENT '1 for the first try' CODEC(ZSTD(1)),
    cached Bool COMMENT 'answered by a cache of the application, not by the provider' CODEC(ZSTD(1)),
    safety_flags Array(LowCardinality(String)) CODEC(ZSTD(1)),
    tags Array(LowCardinality(String)) COMMENT 'free words, as given' CODEC(ZSTD(1)),
    output_sketch Nullable(UInt64) COMMENT 'which of 64 groups the words at the beginning of the answer are of, a bit each; NULL if not known or short' CODEC(ZSTD(1)),
    instrumentation LowCardinality(String) COMMENT 'scope that produced the span' CODEC(ZSTD(1)),
    sdk_version LowCardinality(String) COMMENT 'version of that scope' CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) COMMENT 'what has no column; at most 128 keys, values cut at 1024 characters' CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_span span_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_response response_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
-- One partition a day: a late batch touches few parts, old days are dropped whole. Times are clamped before (see
-- 0005), so that one insert meets at most 32 days (the engine refuses more than 100 partitions in a block).
PARTITION BY toDate(ts)
-- Only facts that a repeated span repeats, so that a span sent twice is one row after FINAL. The hour first: a question about
-- an hour reads that hour, and parts that came one after another do not overlap, so FINAL has next to nothing to merge. Were `ts`
-- itself in the key, too, a condition on it would look there, and not at the hour.
ORDER BY (toStartOfHour(ts), feature, prompt_name, prompt_version, toUnixTimestamp64Nano(ts), span_id)
-- Repeated inserts with the same insert_deduplication_token are dropped whole.
SETTINGS non_replicated_deduplication_window = 1000;

-- Captured text: apart from the calls, for thirty days. The text index finds a word in a prompt. ZSTD(3) makes English 0.30 of its size
-- where ZSTD(1) makes it 0.35, for 4 us a call.
CREATE TABLE llm_texts
(
    trace_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    span_id String COMMENT 'lower case hex' CODEC(ZSTD(1)),
    ts DateTime64(9, 'UTC') COMMENT 'start of the call, UTC' CODEC(Delta(8), ZSTD(1)),
    input_text String COMMENT 'prompt as captured: JSON messages, or text' CODEC(ZSTD(3)),
    output_text String COMMENT 'answer as captured: JSON messages, or text' CODEC(ZSTD(3)),
    INDEX words input_text TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(input_text))
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(ts)
ORDER BY (trace_id, span_id)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- Evaluations and human feedback, from gen_ai.evaluation.result.
CREATE TABLE scores
(
    ts DateTime64(9, 'UTC') COMMENT 'when it was judged, UTC' CODEC(Delta(8), ZSTD(1)),
    trace_id String COMMENT 'of the call that is judged' CODEC(ZSTD(1)),
    span_id String COMMENT 'of the call that is judged; empty for the whole trace' CODEC(ZSTD(1)),
    response_id String COMMENT 'gen_ai.response.id of the call that is judged' CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'of the evaluation, for example relevance' CODEC(ZSTD(1)),
    value Nullable(Float64) COMMENT 'gen_ai.evaluation.score.value' CODEC(ZSTD(1)),
    label LowCardinality(String) COMMENT 'gen_ai.evaluation.score.label' CODEC(ZSTD(1)),
    explanation String CODEC(ZSTD(1)),
    source_id String COMMENT 'span or hash of the log record that brought it: a repeated record is one row' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (name, toStartOfHour(ts), trace_id, span_id, ts, source_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- The texts of templates, for the difference between two versions.
CREATE TABLE prompt_templates
(
    prompt_name String,
    prompt_version String,
    template_hash String COMMENT 'SHA-256 of the template, hex',
    template SimpleAggregateFunction(anyLast, String) COMMENT 'the template, variables unfilled',
    owner SimpleAggregateFunction(anyLast, String),
    description SimpleAggregateFunction(anyLast, String),
    first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'UTC',
    last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'UTC'
)
ENGINE = AggregatingMergeTree
ORDER BY (prompt_name, prompt_version, template_hash)
SETTINGS non_replicated_deduplication_window = 1000;

-- The loss ledger of every SDK process: the latest numbers that it sent about itself.
CREATE TABLE sdk_losses
(
    service LowCardinality(String),
    instance_id String COMMENT 'service.instance.id of the process',
    emitted SimpleAggregateFunction(max, UInt64) COMMENT 'spans handed to the SDK',
    delivered SimpleAggregateFunction(max, UInt64) COMMENT 'spans that a backend accepted',
    dropped SimpleAggregateFunction(maxMap, Map(String, UInt64)) COMMENT 'spans lost, by reason',
    first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'UTC',
    last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')) COMMENT 'UTC'
)
ENGINE = AggregatingMergeTree
ORDER BY (service, instance_id)
TTL toDateTime(last_seen) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- Values that were set aside, with the reason. The call itself is in llm_calls, without the value.
CREATE TABLE quarantine
(
    ts DateTime64(9, 'UTC') COMMENT 'start of the span, UTC' CODEC(Delta(8), ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    service LowCardinality(String) CODEC(ZSTD(1)),
    instrumentation LowCardinality(String) CODEC(ZSTD(1)),
    field LowCardinality(String) COMMENT 'column that the value was meant for' CODEC(ZSTD(1)),
    value String COMMENT 'as it came, cut at 256 characters' CODEC(ZSTD(1)),
    reason LowCardinality(String) COMMENT 'negative, absurd, not a whole number, clock' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(ts)
ORDER BY (field, ts, trace_id, span_id)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
