-- From the one normalised form to the tables that readers see.

CREATE MATERIALIZED VIEW llm_calls_mv TO llm_calls AS
SELECT * EXCEPT (input_text, output_text, template, template_owner, template_description, problems)
FROM normalised_calls;

CREATE MATERIALIZED VIEW llm_texts_mv TO llm_texts AS
SELECT trace_id, span_id, ts, input_text, output_text
FROM normalised_calls
WHERE input_text != '' OR output_text != '';

CREATE MATERIALIZED VIEW prompt_templates_mv TO prompt_templates AS
SELECT
    prompt_name,
    prompt_version,
    template_hash,
    anyLast(normalised_calls.template) AS template,
    anyLast(normalised_calls.template_owner) AS owner,
    anyLast(normalised_calls.template_description) AS description,
    min(ts) AS first_seen,
    max(ts) AS last_seen
FROM normalised_calls
WHERE normalised_calls.template != ''
GROUP BY prompt_name, prompt_version, template_hash;

CREATE MATERIALIZED VIEW quarantine_mv TO quarantine AS
SELECT
    ts,
    trace_id,
    span_id,
    service,
    instrumentation,
    problem.1 AS field,
    substringUTF8(problem.2, 1, 256) AS value,
    multiIf(field = 'ts', 'clock', startsWith(problem.2, '-'), 'negative', toFloat64OrZero(problem.2) > 1e9, 'absurd', 'not a whole number') AS reason
FROM normalised_calls
ARRAY JOIN problems AS problem;
