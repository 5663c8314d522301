-- Alerts: what the evaluator found, what people said to it, and what is to be told to whom. Rows are only ever inserted: a newer
-- revision replaces an older one, so read these tables FINAL.

-- Who evaluates during which slot of time. Inserts carry the slot as insert_deduplication_token: of several the first stays and
-- the others vanish, which makes the table a compare-and-set, on one server and (replicated, without partitions) on a cluster.
CREATE TABLE alert_leases
(
    slot Int64 COMMENT 'number of the slot: seconds since the epoch / length of a slot',
    owner String COMMENT 'the evaluator that has it',
    taken_at DateTime64(3, 'UTC') COMMENT 'UTC'
)
ENGINE = MergeTree
ORDER BY slot
TTL toDateTime(taken_at) + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- Every alert that is or was: one row for a rule, a severity and a set of labels. What is inactive since ever has no row.
CREATE TABLE alert_states
(
    fingerprint String COMMENT 'hash of rule, severity and labels',
    rule LowCardinality(String),
    severity LowCardinality(String) COMMENT 'page or ticket',
    labels Map(String, String) COMMENT 'what tells it from the other alerts of the rule',
    phase LowCardinality(String) COMMENT 'inactive, pending, firing, recovering or resolved',
    blind LowCardinality(String) COMMENT 'no_data or error while the evaluator cannot see; then phase is what it was before',
    value Nullable(Float64) COMMENT 'in unit',
    threshold Nullable(Float64) COMMENT 'in unit',
    unit LowCardinality(String),
    summary String COMMENT 'one line',
    description String,
    context Map(String, String) COMMENT 'what else is known, such as the providers whose calls failed',
    active_since Nullable(DateTime64(3, 'UTC')) COMMENT 'since when it is pending, for the `for` of its rule; UTC',
    starts_at Nullable(DateTime64(3, 'UTC')) COMMENT 'since when it fires; UTC',
    recovering_since Nullable(DateTime64(3, 'UTC')) COMMENT 'since when it is below its recovery threshold, for keep_firing_for; UTC',
    ends_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when it resolved; UTC',
    blind_since Nullable(DateTime64(3, 'UTC')) COMMENT 'UTC',
    transitions Array(DateTime64(3, 'UTC')) COMMENT 'when it began or ceased to fire in the last hour; three are flapping',
    rule_version String COMMENT 'hash of the rule that was evaluated',
    evaluated_at DateTime64(3, 'UTC') COMMENT 'UTC',
    revision UInt64 COMMENT 'higher replaces lower'
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY fingerprint
TTL toDateTime(evaluated_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 0;

-- Each change of a state.
CREATE TABLE alert_history
(
    at DateTime64(3, 'UTC') COMMENT 'time of the evaluation, UTC',
    fingerprint String,
    rule LowCardinality(String),
    severity LowCardinality(String),
    labels Map(String, String),
    state_before LowCardinality(String),
    state_after LowCardinality(String),
    value Nullable(Float64),
    threshold Nullable(Float64),
    unit LowCardinality(String),
    summary String
)
ENGINE = ReplacingMergeTree
ORDER BY (toStartOfHour(at), rule, fingerprint, at, state_after)
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 0;

-- The latest evaluation of every rule.
CREATE TABLE alert_evaluations
(
    rule String,
    kind LowCardinality(String),
    definition String COMMENT 'the rule as it was evaluated, JSON',
    rule_version String,
    at DateTime64(3, 'UTC') COMMENT 'the moment that was judged, UTC',
    outcome LowCardinality(String) COMMENT 'ok, no_data or error',
    detail String COMMENT 'why it could not see',
    series UInt32 COMMENT 'how many were judged',
    active UInt32 COMMENT 'how many alerts fire',
    elapsed_ms Float64,
    evaluator String,
    revision UInt64 COMMENT 'higher replaces lower'
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY rule
TTL toDateTime(at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 0;

CREATE TABLE alert_silences
(
    id String,
    matchers String COMMENT 'JSON: label (or rule, severity) -> value, * stands for any characters',
    starts_at DateTime64(3, 'UTC') COMMENT 'UTC',
    ends_at DateTime64(3, 'UTC') COMMENT 'UTC',
    author String,
    comment String,
    revision UInt64 COMMENT 'higher replaces lower'
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY id
TTL toDateTime(ends_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 0;

-- Somebody is on it: no reminders of this firing.
CREATE TABLE alert_acks
(
    fingerprint String,
    starts_at DateTime64(3, 'UTC') COMMENT 'which firing of it, UTC',
    author String,
    comment String,
    at DateTime64(3, 'UTC') COMMENT 'UTC'
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (fingerprint, starts_at)
TTL toDateTime(at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 0;

-- What is to be told: written by the evaluator, and its memory of what each group was told last. The id follows from the notice
-- before and from the content, and is the insert's deduplication token, so a notice decided twice is there once.
CREATE TABLE alert_outbox
(
    id String,
    group_key String,
    destination LowCardinality(String),
    status LowCardinality(String) COMMENT 'firing or resolved',
    members Map(String, String) COMMENT 'fingerprint@start of the firing -> firing, muted or resolved',
    payload String COMMENT 'the notice, JSON',
    created_at DateTime64(3, 'UTC') COMMENT 'UTC'
)
ENGINE = ReplacingMergeTree
ORDER BY id
TTL toDateTime(created_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- What became of it.
CREATE TABLE alert_deliveries
(
    notice_id String COMMENT 'alert_outbox.id',
    attempt UInt32,
    at DateTime64(3, 'UTC') COMMENT 'UTC',
    outcome LowCardinality(String),
    detail String
)
ENGINE = ReplacingMergeTree
ORDER BY (notice_id, attempt)
TTL toDateTime(at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 0;
