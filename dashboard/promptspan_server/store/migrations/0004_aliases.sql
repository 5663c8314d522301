-- How other instrumentations name things. Data, not code: a new alias is an INSERT, seen by the next batch.

-- An attribute of a span and the field of ours that it means. If a span carries several aliases of a field, the one of the
-- lowest priority wins; an attribute without a row stays in `llm_calls.attributes`.
CREATE TABLE attribute_aliases
(
    attribute String COMMENT 'key of the span attribute; inside JSON: key.path.to.value, first element of an array: key.0',
    field LowCardinality(String) COMMENT 'field of ours (see 0005); empty for an attribute that is only taken apart',
    priority UInt16 COMMENT 'lowest wins',
    is_json Bool DEFAULT false COMMENT 'the value is a JSON object whose members are attributes too (three levels)'
)
ENGINE = ReplacingMergeTree
ORDER BY attribute;

-- Words of other instrumentations and our word for them, by field.
CREATE TABLE value_aliases
(
    field LowCardinality(String) COMMENT 'operation, provider, host, finish_reason, ...',
    value String COMMENT 'as sent, lower case',
    canonical String COMMENT 'as we store it'
)
ENGINE = ReplacingMergeTree
ORDER BY (field, value);

-- Our own SDK: what the conventions lack.
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('promptspan.feature', 'feature', 10),
    ('promptspan.tenant', 'tenant', 10),
    ('promptspan.prompt.template_hash', 'template_hash', 10),
    ('promptspan.prompt.template', 'template', 10),
    ('promptspan.prompt.owner', 'template_owner', 10),
    ('promptspan.prompt.description', 'template_description', 10),
    ('promptspan.safety.flags', 'safety_flags', 10),
    ('promptspan.usage.source', 'usage_source', 10),
    ('promptspan.usage.cache_write_1h.input_tokens', 'cache_write_1h_tokens', 10),
    ('promptspan.cost.reported_usd', 'reported_cost_usd', 10),
    ('promptspan.attempt', 'attempt', 10),
    ('promptspan.cached', 'cached', 10),
    ('promptspan.status', 'status', 10);

-- Current GenAI conventions (open-telemetry/semantic-conventions-genai).
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('gen_ai.operation.name', 'operation', 20),
    ('gen_ai.provider.name', 'provider', 20),
    ('gen_ai.request.model', 'request_model', 20),
    ('gen_ai.response.model', 'response_model', 20),
    ('gen_ai.response.id', 'response_id', 20),
    ('gen_ai.response.finish_reasons', 'finish_reasons', 20),
    ('gen_ai.response.time_to_first_chunk', 'ttft_s', 20),
    ('gen_ai.request.stream', 'streaming', 20),
    ('gen_ai.usage.input_tokens', 'input_tokens', 20),
    ('gen_ai.usage.output_tokens', 'output_tokens', 20),
    ('gen_ai.usage.cache_read.input_tokens', 'cache_read_tokens', 20),
    ('gen_ai.usage.cache_write.input_tokens', 'cache_write_tokens', 20),
    ('gen_ai.usage.cache_creation.input_tokens', 'cache_write_tokens', 21),
    ('gen_ai.usage.reasoning.output_tokens', 'reasoning_tokens', 20),
    ('gen_ai.usage.audio.input_tokens', 'audio_input_tokens', 20),
    ('gen_ai.usage.audio.output_tokens', 'audio_output_tokens', 20),
    ('gen_ai.prompt.name', 'prompt_name', 20),
    ('gen_ai.prompt.version', 'prompt_version', 20),
    ('gen_ai.conversation.id', 'conversation_id', 20),
    ('user.id', 'user_id', 20),
    ('enduser.id', 'user_id', 29),
    ('session.id', 'session_id', 20),
    ('error.type', 'error_type', 20),
    ('gen_ai.input.messages', 'input', 20),
    ('gen_ai.output.messages', 'output', 20),
    ('gen_ai.system_instructions', 'system', 20),
    ('server.address', 'host', 20),
    ('openai.response.service_tier', 'service_tier', 20),
    ('openai.request.service_tier', 'service_tier', 29);

-- Older GenAI conventions (semconv 1.27 to 1.36).
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('gen_ai.system', 'provider', 30),
    ('gen_ai.usage.prompt_tokens', 'input_tokens', 30),
    ('gen_ai.usage.completion_tokens', 'output_tokens', 30),
    ('gen_ai.response.finish_reason', 'finish_reasons', 30),
    ('gen_ai.prompt', 'input', 30),
    ('gen_ai.completion', 'output', 30);
-- Operations: the GenAI well-known names, and what others call them.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('operation', 'completion', 'text_completion'),
    ('operation', 'embedding', 'embeddings');

-- Billable: inference and embeddings, nothing else.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('billable', 'chat', 'true'),
    ('billable', 'text_completion', 'true'),
    ('billable', 'generate_content', 'true'),
    ('billable', 'embeddings', 'true');

-- Providers: the GenAI well-known names.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('provider', 'azure', 'azure.ai.openai');

-- Where the call went decides, if the instrumentation names its client library instead: a part of the URL or host.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('host', '.openai.azure.com', 'azure.ai.openai');

-- One vocabulary of finish reasons: OpenAI's.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('finish_reason', 'end_turn', 'stop'),
    ('finish_reason', 'tool_use', 'tool_calls'),
    ('finish_reason', 'max_tokens', 'length');

-- Errors that are none of the provider's.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('status', 'cancellederror', 'cancelled'),
    ('status', 'asyncio.exceptions.cancellederror', 'cancelled'),
    ('status', 'asyncio.cancellederror', 'cancelled'),
    ('status', 'keyboardinterrupt', 'cancelled'),
    ('status', 'generatorexit', 'incomplete');

-- Instrumentations whose input_tokens exclude cache reads and writes: they are added.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('exclusive_scope', 'openlit.instrumentation.anthropic', 'true');

-- Span events that mark the first token of a stream.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('first_token_event', 'first token stream event', 'true');
