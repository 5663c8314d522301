-- A span for each call of the last days.
INSERT INTO spans (trace_id, ts, span_id, parent_span_id, name, kind, service, duration_ms, status, scope, attributes)
SELECT trace_id, ts, span_id, parent_span_id, concat('chat ', request_model), 'Client', service, duration_ms, if(status = 'error', 'Error', 'Unset'), instrumentation,
    map('gen_ai.request.model', toString(request_model), 'gen_ai.usage.input_tokens', toString(ifNull(input_tokens, 0)))
FROM llm_calls
WHERE ts >= {since:DateTime64(9, 'UTC')}
