-- What people and pipelines did and when: deployments, notes, changes of configuration. Shown on charts and in incidents.
CREATE TABLE markers
(
    id String COMMENT 'given by the sender, so that a repetition is no second marker, or made from its content',
    at DateTime64(3, 'UTC') COMMENT 'when it happened, UTC',
    kind LowCardinality(String) COMMENT 'deploy, config, note or incident',
    text String COMMENT 'one line of what happened',
    author String COMMENT 'who or what did it',
    environment LowCardinality(String) COMMENT 'empty for all',
    service LowCardinality(String) COMMENT 'empty for all',
    prompt_name LowCardinality(String) COMMENT 'empty for all',
    prompt_version String,
    incident String COMMENT 'fingerprint of the alert that it is about',
    link String COMMENT 'of the pipeline run, the change, ...',
    recorded_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'UTC'
)
ENGINE = ReplacingMergeTree(recorded_at)
ORDER BY id
TTL toDateTime(at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 0;
