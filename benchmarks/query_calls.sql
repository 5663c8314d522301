-- Forty prompts in ten features, the first ones busy; a new version every six days, with a canary of a tenth beside it; eight
-- models, a twentieth of the calls on a fallback; thirty tenants in half of the features; durations and tokens log-normal. `n`
-- numbers the calls in the order of time; a day has its busy hours.
INSERT INTO llm_calls
SELECT
    fromUnixTimestamp64Nano(toInt64({since:Int64} * 1000000000 + toInt64(
        (intDiv(n, {a_day:UInt64}) + part - 0.1 * sin(2 * pi() * part)) * 86400e9)), 'UTC') AS ts,
    round(exp(6.6 + 0.35 * (prompt % 5) + 0.6 * z) * 1e6) / 1e6 AS duration_ms,
    if(streaming AND status != 'error', round(exp(5.5 + 0.4 * z2) * 1e6) / 1e6, NULL) AS ttft_ms,
    lower(concat(hex(sipHash64(n, 'trace')), hex(cityHash64(n, 'trace')))) AS trace_id,
    lower(hex(sipHash64(n, 'span'))) AS span_id,
    if(prompt % 3 = 0, '', lower(hex(sipHash64(n, 'parent')))) AS parent_span_id,
    if(status = 'error', '', concat('chatcmpl-', substring(base64Encode(unhex(concat(
        hex(sipHash64(n, 'r1')), hex(sipHash64(n, 'r2')), hex(sipHash64(n, 'r3'))))), 1, 29))) AS response_id,
    ['mail', 'search', 'billing', 'support'][feature_number % 4 + 1] AS service,
    if(r4 % 16 = 0, 'staging', 'production') AS environment,
    concat('feature-', toString(feature_number)) AS feature,
    if(feature_number % 2 = 0, '', concat('tenant-', toString(toUInt32(pow(u5, 3) * 30)))) AS tenant,
    lower(hex(sipHash64(r5 % 20000, 'user'))) AS user_id,
    '' AS session_id,
    concat('prompt-', toString(prompt)) AS prompt_name,
    concat('v', toString(toUInt32(intDiv(intDiv(n, {a_day:UInt64}) + prompt, 6) + (r6 % 10 = 0)))) AS prompt_version,
    lower(hex(SHA256(concat(prompt_name, prompt_version)))) AS template_hash,
    'chat' AS operation,
    ['openai', 'openai', 'anthropic', 'openai', 'gcp.gemini', 'anthropic', 'openai', 'mistral_ai'][model] AS provider,
    ['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4-5', 'gpt-5-mini', 'gemini-2.5-flash', 'claude-haiku-4-5', 'gpt-4.1', 'house-model'][model] AS request_model,
    ['gpt-4o-2024-08-06', 'gpt-4o-mini-2024-07-18', 'claude-sonnet-4-5-20250929', 'gpt-5-mini', 'gemini-2.5-flash', 'claude-haiku-4-5-20251001', 'gpt-4.1-2025-04-14', 'house-model'][model] AS response_model,
    if(status = 'error', NULL, toUInt64(exp(6.5 + 0.8 * z3))) AS input_tokens,
    if(input_tokens IS NULL OR prompt % 4 != 0, NULL, toUInt64(input_tokens * 0.7)) AS cache_read_tokens,
    NULL AS cache_write_5m_tokens,
    NULL AS cache_write_1h_tokens,
    NULL AS audio_input_tokens,
    if(status = 'error', NULL, toUInt64(exp(5 + 0.7 * z))) AS output_tokens,
    if(output_tokens IS NULL OR model != 4, NULL, toUInt64(output_tokens * 0.4)) AS reasoning_tokens,
    NULL AS audio_output_tokens,
    if(status = 'error', 'missing', 'provider') AS usage_source,
    '' AS service_tier,
    NULL AS reported_cost_usd,
    true AS billable,
    prompt % 2 = 0 AS streaming,
    multiIf(r7 % 1000 < 20, 'error', r7 % 1000 < 25, 'incomplete', r7 % 1000 < 28, 'cancelled', 'ok') AS status,
    if(status = 'error', ['RateLimitError', 'APITimeoutError', '500'][r7 % 3 + 1], '') AS error_type,
    if(status = 'ok', if(r8 % 50 = 0, ['length'], ['stop']), []) AS finish_reasons,
    if(r8 % 100 < 2, 2, 1) AS attempt,
    false AS cached,
    if(r8 % 128 = 1, ['pii'], if(r8 % 512 = 2, ['jailbreak', 'pii'], [])) AS safety_flags,
    [] AS tags,
    NULL AS output_sketch,
    'promptspan' AS instrumentation,
    '0.1.0' AS sdk_version,
    map() AS attributes
FROM
(
    SELECT
        number AS n,
        (n % {a_day:UInt64}) / {a_day:UInt64} AS part,
        sipHash64(n, 'a') AS r1, sipHash64(n, 'b') AS r2, sipHash64(n, 'c') AS r3, sipHash64(n, 'd') AS r4,
        sipHash64(n, 'e') AS r5, sipHash64(n, 'f') AS r6, sipHash64(n, 'g') AS r7, sipHash64(n, 'h') AS r8,
        (r1 + 1) / 18446744073709551616. AS u1, r2 / 18446744073709551616. AS u2,
        (r3 + 1) / 18446744073709551616. AS u3, r5 / 18446744073709551616. AS u5,
        sqrt(-2 * log(u1)) * cos(2 * pi() * u2) AS z,
        sqrt(-2 * log(u1)) * sin(2 * pi() * u2) AS z2,
        sqrt(-2 * log(u3)) * cos(2 * pi() * u5) AS z3,
        toUInt32(pow(r4 / 18446744073709551616., 2.5) * 40) AS prompt,
        prompt % 10 AS feature_number,
        if(r6 % 20 = 7, (prompt + 1) % 8, prompt % 8) + 1 AS model
    FROM numbers({first:UInt64}, {count:UInt64})
)
