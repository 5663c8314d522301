-- How other instrumentations name things. Data, not code: a new alias is an INSERT, seen by the next batch.

-- An attribute of a span and the field of ours that it means (the fields are those that 0005 asks for). If a span carries
-- several aliases of a field, the one of the lowest priority wins; an attribute without a row stays in `llm_calls.attributes`.
CREATE TABLE attribute_aliases
(
    attribute String COMMENT 'key of the span attribute; inside JSON: key.path.to.value, first element of an array: key.0',
    field LowCardinality(String) COMMENT 'field of ours; empty for an attribute that is only taken apart',
    priority UInt16 COMMENT '0 to 999, lowest wins',
    reading LowCardinality(String) DEFAULT ' ' COMMENT 'one sign: blank = as it is; * = JSON whose members are attributes too, three levels deep; and of counts: = what remains beside the other counts (f, p: at the tier flex or priority), + beside the total, ? beside or within, as the names of the cache counts say'
)
ENGINE = ReplacingMergeTree
ORDER BY attribute
SETTINGS non_replicated_deduplication_window = 1000;

-- Words of other instrumentations and ours for them.
CREATE TABLE value_aliases
(
    field LowCardinality(String) COMMENT 'operation, provider, host, finish_reason, error; by scope: scope (its habits), scope_provider, scope_operation; by name of the span: span_name, span and method (after the scope); vendor (of a model)',
    value String COMMENT 'as sent, in lower case',
    canonical String COMMENT 'as we store it'
)
ENGINE = ReplacingMergeTree
ORDER BY (field, value)
SETTINGS non_replicated_deduplication_window = 1000;

-- Our own SDK: what the conventions lack.
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('promptspan.feature', 'feature', 10),
    ('promptspan.tenant', 'tenant', 10),
    ('promptspan.prompt.template', 'template', 10),
    ('promptspan.prompt.template_hash', 'template_hash', 10),
    ('promptspan.prompt.owner', 'template_owner', 10),
    ('promptspan.prompt.description', 'template_description', 10),
    ('promptspan.safety.flags', 'safety_flags', 10),
    ('promptspan.tags', 'tags', 10),
    ('promptspan.output.sketch', 'output_sketch', 10),
    ('promptspan.usage.source', 'usage_source', 10),
    ('promptspan.usage.cache_write_1h.input_tokens', 'cache_write_1h_tokens', 10),
    ('promptspan.cost.reported_usd', 'reported_cost_usd', 10),
    ('promptspan.service_tier', 'service_tier', 10),
    ('promptspan.attempt', 'attempt', 10),
    ('promptspan.cached', 'cached', 10),
    ('promptspan.status', 'status', 10);

-- Current GenAI conventions (open-telemetry/semantic-conventions-genai), and what its users write beside them.
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('gen_ai.operation.name', 'operation', 20),
    ('gen_ai.provider.name', 'provider', 20),
    ('gen_ai.request.model', 'request_model', 20),
    ('gen_ai.request.stream', 'streaming', 20),
    ('gen_ai.response.model', 'response_model', 20),
    ('gen_ai.response.id', 'response_id', 20),
    ('rpc.method', 'streaming', 29), -- ConverseStream of Bedrock
    ('gen_ai.response.finish_reasons', 'finish_reasons', 20),
    ('gen_ai.response.time_to_first_chunk', 'first_chunk_s', 20),
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
    ('gen_ai.input.messages', 'input', 20),
    ('gen_ai.output.messages', 'output', 20),
    ('gen_ai.system_instructions', 'system', 20),
    ('user.id', 'user_id', 20),
    ('enduser.id', 'user_id', 29),
    ('session.id', 'session_id', 20),
    ('gen_ai.conversation.id', 'session_id', 21),
    ('error.type', 'error_type', 20),
    ('deployment.environment.name', 'environment', 20),
    ('deployment.environment', 'environment', 21),
    ('url.full', 'host', 28),
    ('server.address', 'host', 29),
    ('openai.response.service_tier', 'service_tier', 20),
    ('openai.request.service_tier', 'service_tier', 29);

-- Proposed for the conventions: cost (semantic-conventions-genai PR 443), findings of guardrails (PR 427).
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('gen_ai.usage.cost.amount', 'cost_amount', 20),
    ('gen_ai.usage.cost.currency', 'cost_currency', 20),
    ('gen_ai.usage.cost.source', 'cost_source', 20),
    ('gen_ai.security.risk.finding', 'safety_flags', 20);

-- Older GenAI conventions (semantic-conventions 1.27 to 1.36).
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('gen_ai.system', 'provider', 30),
    ('gen_ai.usage.prompt_tokens', 'input_tokens', 30),
    ('gen_ai.usage.completion_tokens', 'output_tokens', 30),
    ('gen_ai.openai.response.service_tier', 'service_tier', 30),
    ('gen_ai.openai.request.service_tier', 'service_tier', 39),
    ('gen_ai.prompt', 'input', 39),
    ('gen_ai.completion', 'output', 39);

-- OpenLLMetry 0.40 to 0.62 (opentelemetry-semantic-conventions-ai) and the Traceloop SDK.
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('llm.request.type', 'operation', 40),
    ('traceloop.span.kind', 'operation', 41),
    ('llm.is_streaming', 'streaming', 40),
    ('gen_ai.is_streaming', 'streaming', 41),
    ('gen_ai.completion.0.finish_reason', 'finish_reasons', 40),
    ('llm.response.finish_reason', 'finish_reasons', 41),
    ('llm.response.stop_reason', 'finish_reasons', 42),
    ('gen_ai.response.finish_reason', 'finish_reasons', 43),
    ('gen_ai.response.stop_reason', 'finish_reasons', 44),
    ('llm.usage.total_tokens', 'total_tokens', 40),
    ('gen_ai.usage.total_tokens', 'total_tokens', 41),
    ('gen_ai.usage.cache_read_input_tokens', 'cache_read_tokens', 40),
    ('gen_ai.usage.cache_creation_input_tokens', 'cache_write_tokens', 40),
    ('gen_ai.usage.reasoning_tokens', 'reasoning_tokens', 40),
    ('llm.usage.reasoning_tokens', 'reasoning_tokens', 41),
    ('gen_ai.openai.api_base', 'host', 20),
    ('gen_ai.user', 'user_id', 40),
    ('llm.user', 'user_id', 41),
    ('traceloop.association.properties.user_id', 'user_id', 42),
    ('traceloop.association.properties.session_id', 'session_id', 42),
    ('traceloop.prompt.key', 'prompt_name', 40),
    ('traceloop.prompt.version', 'prompt_version', 40),
    ('traceloop.prompt.template', 'template', 40),
    ('traceloop.entity.input', 'input', 48),
    ('traceloop.entity.output', 'output', 48);

-- OpenInference (openinference-semantic-conventions; Arize Phoenix). llm.model_name is the model of the answer, or of the
-- request where there is none.
INSERT INTO attribute_aliases (attribute, field, priority, reading) VALUES
    ('openinference.span.kind', 'operation', 50, ' '),
    ('tag.tags', 'tags', 50, ' '),
    ('llm.provider', 'provider', 50, ' '),
    ('llm.system', 'provider', 51, ' '),
    ('llm.request.model_name', 'request_model', 50, ' '),
    ('llm.response.model_name', 'response_model', 50, ' '),
    ('llm.model_name', 'model', 50, ' '),
    ('embedding.model_name', 'model', 51, ' '),
    ('llm.token_count.prompt', 'input_tokens', 50, ' '),
    ('llm.token_count.completion', 'output_tokens', 50, ' '),
    ('llm.token_count.total', 'total_tokens', 50, ' '),
    ('llm.token_count.prompt_details.cache_read', 'cache_read_tokens', 50, ' '),
    ('llm.token_count.prompt_details.cache_input', 'cache_read_tokens', 51, ' '),
    ('llm.token_count.prompt_details.cache_write', 'cache_write_tokens', 50, ' '),
    ('llm.token_count.prompt_details.audio', 'audio_input_tokens', 50, ' '),
    ('llm.token_count.completion_details.reasoning', 'reasoning_tokens', 50, ' '),
    ('llm.token_count.completion_details.audio', 'audio_output_tokens', 50, ' '),
    ('llm.finish_reason', 'finish_reasons', 50, ' '),
    ('llm.prompt_template.version', 'prompt_version', 50, ' '),
    ('llm.prompt_template.template', 'template', 50, ' '),
    ('llm.invocation_parameters', '', 0, '*'),
    ('llm.invocation_parameters.model', 'request_model', 55, ' '),
    ('llm.invocation_parameters.id', 'answer_parameters', 55, ' '),
    ('llm.invocation_parameters.stream', 'streaming', 55, ' '),
    ('llm.invocation_parameters.api_base', 'host', 30, ' '),
    ('llm.invocation_parameters.base_url', 'host', 30, ' '),
    ('llm.invocation_parameters.service_tier', 'service_tier', 59, ' '),
    ('embedding.invocation_parameters', '', 0, '*'),
    ('embedding.invocation_parameters.model', 'request_model', 56, ' '),
    ('input.value', 'input', 50, ' '),
    ('output.value', 'output', 50, '*'),
    ('output.value.id', 'response_id', 55, ' '),
    ('output.value.service_tier', 'service_tier', 55, ' '),
    ('output.value.stop_reason', 'finish_reasons', 55, ' '),
    ('output.value.choices.0.finish_reason', 'finish_reasons', 56, ' '),
    ('output.value.choices', 'choices', 50, ' '),
    ('output.value.model', 'response_model', 55, ' '),
    -- In LangChain's response_metadata.
    ('output.value.model_name', 'response_model', 56, ' '),
    ('output.value.finish_reason', 'finish_reasons', 54, ' '),
    ('output.value.incomplete_details.reason', 'finish_reasons', 57, ' '),
    ('output.value.status', 'finish_reasons', 58, ' ');

-- OpenLIT (openlit.semcov).
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('gen_ai.server.time_to_first_token', 'ttft_s', 60),
    ('gen_ai.request.user', 'user_id', 60),
    ('gen_ai.client.token.usage', 'total_tokens', 60),
    ('gen_ai.environment', 'environment', 60);

-- Langfuse 5 (langfuse/_client/attributes.py). `model.name` is the model of the answer, or of the request where there is none.
-- `completion_start_time` is written for streams alone.
INSERT INTO attribute_aliases (attribute, field, priority, reading) VALUES
    ('langfuse.observation.type', 'operation', 70, ' '),
    ('langfuse.trace.tags', 'tags', 70, ' '),
    ('langfuse.observation.model.name', 'model', 70, ' '),
    ('langfuse.observation.model.parameters', '', 0, '*'),
    ('langfuse.observation.model.parameters.service_tier', 'service_tier', 75, ' '),
    ('langfuse.observation.usage_details', '', 0, '*'),
    ('langfuse.observation.completion_start_time', 'first_token_at', 70, ' '),
    ('langfuse.observation.metadata.finish_reason', 'finish_reasons', 70, ' '),
    ('langfuse.observation.metadata.id', 'object_id', 70, ' '),
    ('langfuse.observation.metadata.service_tier', 'service_tier', 76, ' '),
    ('langfuse.observation.cost_details', '', 0, '*'),
    ('langfuse.observation.cost_details.total', 'total_cost', 70, ' '),
    ('langfuse.observation.cost_details.input', 'input_cost', 70, ' '),
    ('langfuse.observation.metadata.ls_provider', 'provider', 75, ' '),
    ('langfuse.observation.metadata.ls_model_name', 'request_model', 75, ' '),
    ('langfuse.observation.metadata.ls_integration', 'framework', 75, ' '),
    ('langfuse.observation.level', 'level', 70, ' '),
    ('langfuse.observation.status_message', 'error_message', 70, ' '),
    ('langfuse.observation.prompt.name', 'prompt_name', 70, ' '),
    ('langfuse.observation.prompt.version', 'prompt_version', 70, ' '),
    ('langfuse.observation.input', 'input', 70, ' '),
    ('langfuse.observation.output', 'output', 70, ' '),
    ('langfuse.user.id', 'user_id', 70, ' '),
    ('langfuse.session.id', 'session_id', 70, ' '),
    ('langfuse.environment', 'environment', 70, ' ');

-- Langfuse's own buckets: `input` and `output` are what remains beside the others (its LangChain handler subtracts them).
INSERT INTO attribute_aliases (attribute, field, priority, reading) VALUES
    ('langfuse.observation.usage_details.input', 'input_tokens', 70, '='),
    ('langfuse.observation.usage_details.output', 'output_tokens', 70, '='),
    ('langfuse.observation.usage_details.total', 'total_tokens', 70, ' '),
    ('langfuse.observation.usage_details.input_flex', 'input_tokens', 68, 'f'),
    ('langfuse.observation.usage_details.output_flex', 'output_tokens', 68, 'f'),
    ('langfuse.observation.usage_details.input_flex_cache_read', 'cache_read_tokens', 68, '+'),
    ('langfuse.observation.usage_details.output_flex_reasoning', 'reasoning_tokens', 68, '+'),
    ('langfuse.observation.usage_details.input_priority', 'input_tokens', 69, 'p'),
    ('langfuse.observation.usage_details.output_priority', 'output_tokens', 69, 'p'),
    ('langfuse.observation.usage_details.input_priority_cache_read', 'cache_read_tokens', 69, '+'),
    ('langfuse.observation.usage_details.output_priority_reasoning', 'reasoning_tokens', 69, '+'),
    ('langfuse.observation.usage_details.input_cached_tokens', 'cache_read_tokens', 70, '+'),
    ('langfuse.observation.usage_details.input_cache_read', 'cache_read_tokens', 71, '+'),
    ('langfuse.observation.usage_details.cache_read', 'cache_read_tokens', 72, '+'),
    ('langfuse.observation.usage_details.input_cache_creation', 'cache_write_tokens', 70, '+'),
    ('langfuse.observation.usage_details.cache_creation', 'cache_write_tokens', 71, '+'),
    ('langfuse.observation.usage_details.cache_write', 'cache_write_tokens', 72, '+'),
    ('langfuse.observation.usage_details.input_ephemeral_5m_input_tokens', 'cache_write_5m_tokens', 70, ' '),
    ('langfuse.observation.usage_details.input_ephemeral_1h_input_tokens', 'cache_write_1h_tokens', 70, ' '),
    ('langfuse.observation.usage_details.cache_creation_ephemeral_5m_input_tokens', 'cache_write_5m_tokens', 71, ' '),
    ('langfuse.observation.usage_details.cache_creation_ephemeral_1h_input_tokens', 'cache_write_1h_tokens', 71, ' '),
    ('langfuse.observation.usage_details.input_audio', 'audio_input_tokens', 70, '+'),
    ('langfuse.observation.usage_details.input_audio_tokens', 'audio_input_tokens', 71, '+'),
    ('langfuse.observation.usage_details.output_reasoning', 'reasoning_tokens', 70, '+'),
    ('langfuse.observation.usage_details.output_reasoning_tokens', 'reasoning_tokens', 71, '+'),
    ('langfuse.observation.usage_details.output_audio', 'audio_output_tokens', 70, '+'),
    ('langfuse.observation.usage_details.output_audio_tokens', 'audio_output_tokens', 71, '+');

-- Logfire (logfire/_internal/integrations/llm_providers) and pydantic-ai (pydantic_ai/usage.py).
INSERT INTO attribute_aliases (attribute, field, priority, reading) VALUES
    ('gen_ai.client.operation.time_to_first_chunk', 'first_chunk_s', 80, ' '),
    ('logfire.tags', 'tags', 80, ' '),
    ('gen_ai.usage.raw', '', 0, '*'),
    ('gen_ai.usage.details.reasoning_tokens', 'reasoning_tokens', 80, ' '),
    ('gen_ai.usage.details.cache_read_tokens', 'cache_read_tokens', 80, ' '),
    ('gen_ai.usage.details.cached_tokens', 'cache_read_tokens', 81, ' '),
    ('gen_ai.usage.details.cache_write_tokens', 'cache_write_tokens', 80, ' '),
    ('gen_ai.usage.details.ephemeral_5m_input_tokens', 'cache_write_5m_tokens', 80, ' '),
    ('gen_ai.usage.details.ephemeral_1h_input_tokens', 'cache_write_1h_tokens', 80, ' '),
    ('gen_ai.usage.details.input_audio_tokens', 'audio_input_tokens', 80, ' '),
    ('gen_ai.usage.details.output_audio_tokens', 'audio_output_tokens', 80, ' '),
    ('request_data', 'input', 88, '*'),
    ('response_data', 'output', 88, ' '),
    ('all_messages_events', 'input', 86, ' '),
    ('pydantic_ai.all_messages', 'input', 85, ' '),
    ('request_data.model', 'request_model', 89, ' '),
    ('request_data.stream', 'streaming', 89, ' '),
    -- logfire.openai_agents: spans of turns and tasks have a usage too, but without details.
    ('usage', '', 0, '*'),
    ('usage.input_tokens_details.cached_tokens', 'cache_read_tokens', 82, ' '),
    ('usage.input_tokens_details.cache_write_tokens', 'cache_write_tokens', 82, ' '),
    ('usage.output_tokens_details.reasoning_tokens', 'reasoning_tokens', 82, ' '),
    ('response', 'output', 89, '*'),
    ('raw_input', 'input', 89, ' '),
    ('response.id', 'response_id', 89, ' '),
    ('response.service_tier', 'service_tier', 89, ' '),
    ('response.incomplete_details.reason', 'finish_reasons', 88, ' '),
    ('response.status', 'finish_reasons', 89, ' '),
    ('duration', 'duration_s', 80, ' '),
    ('logfire.span_type', 'span_type', 80, ' ');

-- LiteLLM (litellm/integrations/opentelemetry.py).
INSERT INTO attribute_aliases (attribute, field, priority, reading) VALUES
    ('litellm.cache_hit', 'cached', 90, ' '),
    ('litellm.call_id', 'own_id', 90, ' '),
    ('litellm.provider.model', 'prefixed_model', 90, ' '),
    ('metadata.usage_object', '', 0, '*'),
    ('hidden_params', '', 0, '*'),
    ('hidden_params.api_base', 'host', 31, ' '),
    ('error.code', 'error_type', 90, ' '),
    ('metadata.user_api_key_end_user_id', 'user_id', 90, ' ');

-- Anthropic's own SDK (anthropic/_tracing.py).
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('anthropic.usage.cache_creation.ephemeral_5m_input_tokens', 'cache_write_5m_tokens', 20),
    ('anthropic.usage.cache_creation.ephemeral_1h_input_tokens', 'cache_write_1h_tokens', 20),
    ('anthropic.message.stop_reason', 'finish_reasons', 25),
    ('anthropic.response.service_tier', 'service_tier', 20),
    ('anthropic.request.service_tier', 'service_tier', 29);

-- Vercel's AI SDK for JavaScript (@ai-sdk/otel, and the telemetry of packages/ai before it).
INSERT INTO attribute_aliases (attribute, field, priority, reading) VALUES ('ai.response.providerMetadata', '', 0, '*');
INSERT INTO attribute_aliases (attribute, field, priority) VALUES
    ('ai.operationId', 'operation', 95),
    ('ai.model.id', 'request_model', 95),
    ('ai.model.provider', 'provider', 95),
    ('ai.response.model', 'response_model', 95),
    ('ai.response.id', 'response_id', 95),
    ('ai.response.finishReason', 'finish_reasons', 95),
    ('ai.usage.promptTokens', 'input_tokens', 95),
    ('ai.usage.inputTokens', 'input_tokens', 96),
    ('ai.usage.tokens', 'input_tokens', 97),
    ('ai.usage.completionTokens', 'output_tokens', 95),
    ('ai.usage.outputTokens', 'output_tokens', 96),
    ('ai.usage.totalTokens', 'total_tokens', 95),
    ('ai.usage.cachedInputTokens', 'cache_read_tokens', 95),
    ('ai.usage.reasoningTokens', 'reasoning_tokens', 95),
    ('ai.usage.inputTokenDetails.cacheReadTokens', 'cache_read_tokens', 96),
    ('ai.usage.inputTokenDetails.cacheWriteTokens', 'cache_write_tokens', 95),
    ('ai.usage.outputTokenDetails.reasoningTokens', 'reasoning_tokens', 96),
    ('ai.response.providerMetadata.usage.cache_creation.ephemeral_5m_input_tokens', 'cache_write_5m_tokens', 95),
    ('ai.response.providerMetadata.usage.cache_creation.ephemeral_1h_input_tokens', 'cache_write_1h_tokens', 95),
    ('ai.response.msToFirstChunk', 'first_chunk_ms', 95),
    ('ai.stream.msToFirstChunk', 'first_chunk_ms', 96),
    ('ai.prompt.messages', 'input', 95),
    ('ai.prompt', 'input', 96),
    ('ai.response.text', 'output', 95),
    ('ai.telemetry.metadata.userId', 'user_id', 95),
    ('ai.telemetry.metadata.sessionId', 'session_id', 95);

-- Usage as the provider's API returned it, inside JSON: OpenAI's chat completions and responses, Anthropic's messages, Gemini's
-- generateContent, Bedrock's converse, OpenRouter's cost. `input_tokens` alone does not say whether the cache is in it (OpenAI's
-- responses) or beside it (Anthropic): the names of the cache counts do.
INSERT INTO attribute_aliases (attribute, field, priority, reading)
SELECT concat(prefix, '.', usage.1), usage.2, prefix_priority + usage.3, usage.4
FROM
(
    SELECT source.1 AS prefix, source.2 AS prefix_priority
    FROM (SELECT arrayJoin([
        ('langfuse.observation.usage_details', 700), ('gen_ai.usage.raw', 750), ('gen_ai.usage.details', 800), ('output.value.usage', 850), ('metadata.usage_object', 900)]) AS source)
) AS prefixes
CROSS JOIN
(
    SELECT arrayJoin([
        ('prompt_tokens', 'input_tokens', 0, ' '),
        ('completion_tokens', 'output_tokens', 0, ' '),
        ('input_tokens', 'input_tokens', 0, '?'),
        ('output_tokens', 'output_tokens', 1, ' '),
        ('total_tokens', 'total_tokens', 0, ' '),
        ('prompt_tokens_details.cached_tokens', 'cache_read_tokens', 0, ' '),
        ('prompt_tokens_details.cache_write_tokens', 'cache_write_tokens', 0, ' '),
        ('prompt_tokens_details.cache_creation_tokens', 'cache_write_tokens', 1, ' '),
        ('prompt_tokens_details.audio_tokens', 'audio_input_tokens', 0, ' '),
        ('completion_tokens_details.reasoning_tokens', 'reasoning_tokens', 0, ' '),
        ('completion_tokens_details.audio_tokens', 'audio_output_tokens', 0, ' '),
        ('input_tokens_details.cached_tokens', 'cache_read_tokens', 1, ' '),
        ('input_tokens_details.cache_write_tokens', 'cache_write_tokens', 2, ' '),
        ('input_tokens_details.audio_tokens', 'audio_input_tokens', 1, ' '),
        ('output_tokens_details.reasoning_tokens', 'reasoning_tokens', 1, ' '),
        ('output_tokens_details.audio_tokens', 'audio_output_tokens', 1, ' '),
        ('output_tokens_details.thinking_tokens', 'reasoning_tokens', 2, ' '),
        ('cache_read_input_tokens', 'cache_read_tokens', 0, '+'),
        ('cache_creation_input_tokens', 'cache_write_tokens', 0, '+'),
        ('cache_creation.ephemeral_5m_input_tokens', 'cache_write_5m_tokens', 0, ' '),
        ('cache_creation.ephemeral_1h_input_tokens', 'cache_write_1h_tokens', 0, ' '),
        ('promptTokenCount', 'input_tokens', 2, ' '),
        ('candidatesTokenCount', 'output_tokens', 2, '='),
        ('thoughtsTokenCount', 'reasoning_tokens', 2, '+'),
        ('cachedContentTokenCount', 'cache_read_tokens', 2, ' '),
        ('totalTokenCount', 'total_tokens', 2, ' '),
        ('prompt_token_count', 'input_tokens', 3, ' '),
        ('candidates_token_count', 'output_tokens', 3, '='),
        ('thoughts_token_count', 'reasoning_tokens', 3, '+'),
        ('cached_content_token_count', 'cache_read_tokens', 3, ' '),
        ('total_token_count', 'total_tokens', 3, ' '),
        ('inputTokens', 'input_tokens', 4, '?'),
        ('outputTokens', 'output_tokens', 4, ' '),
        ('cacheReadInputTokens', 'cache_read_tokens', 4, '+'),
        ('cacheWriteInputTokens', 'cache_write_tokens', 4, '+'),
        ('prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens', 'cache_write_5m_tokens', 1, ' '),
        ('prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens', 'cache_write_1h_tokens', 1, ' '),
        ('service_tier', 'service_tier', 0, ' '),
        ('cost', 'reported_cost_usd', 0, ' ')]) AS usage
) AS usages
-- LiteLLM's usage of streams holds a cost that it computed.
WHERE NOT (prefix = 'metadata.usage_object' AND usage.1 = 'cost');

-- Operations: GenAI well-known names are their own; what others call them. Only chat, text_completion, generate_content and
-- embeddings are model calls that somebody pays for (0005).
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('operation', 'llm', 'chat'),
    ('operation', 'generation', 'chat'),
    ('operation', 'model_request', 'chat'),
    ('operation', 'completion', 'text_completion'),
    ('operation', 'embedding', 'embeddings'),
    ('operation', 'agent', 'invoke_agent'),
    ('operation', 'tool', 'execute_tool'),
    ('operation', 'chain', 'invoke_workflow'),
    ('operation', 'workflow', 'invoke_workflow'),
    ('operation', 'reranker', 'rerank'),
    ('operation', 'retriever', 'retrieval'),
    -- LiteLLM writes the name of its function (litellm.types.utils.CallTypes).
    ('operation', 'acompletion', 'chat'),
    ('operation', 'responses', 'chat'),
    ('operation', 'aresponses', 'chat'),
    ('operation', 'anthropic_messages', 'chat'),
    ('operation', 'atext_completion', 'text_completion'),
    ('operation', 'aembedding', 'embeddings'),
    ('operation', 'agenerate_content', 'generate_content'),
    -- Vercel's AI SDK: the inner spans are the calls, the outer ones wrap them.
    ('operation', 'ai.generatetext.dogenerate', 'chat'),
    ('operation', 'ai.streamtext.dostream', 'chat'),
    ('operation', 'ai.generateobject.dogenerate', 'chat'),
    ('operation', 'ai.streamobject.dostream', 'chat'),
    ('operation', 'ai.embed.doembed', 'embeddings'),
    ('operation', 'ai.embedmany.doembed', 'embeddings'),
    ('operation', 'ai.generatetext', 'invoke_workflow'),
    ('operation', 'ai.streamtext', 'invoke_workflow'),
    ('operation', 'ai.generateobject', 'invoke_workflow'),
    ('operation', 'ai.streamobject', 'invoke_workflow'),
    ('operation', 'ai.embed', 'invoke_workflow'),
    ('operation', 'ai.embedmany', 'invoke_workflow'),
    ('operation', 'ai.toolcall', 'execute_tool');

-- Providers: GenAI well-known names (gen_ai.provider.name).
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('provider', 'azure', 'azure.ai.openai'),
    ('provider', 'azure_openai', 'azure.ai.openai'),
    ('provider', 'azure-openai', 'azure.ai.openai'),
    ('provider', 'az.ai.openai', 'azure.ai.openai'),
    ('provider', 'azure_ai', 'azure.ai.inference'),
    ('provider', 'az.ai.inference', 'azure.ai.inference'),
    ('provider', 'aws', 'aws.bedrock'),
    ('provider', 'bedrock', 'aws.bedrock'),
    ('provider', 'aws_bedrock', 'aws.bedrock'),
    ('provider', 'amazon_bedrock', 'aws.bedrock'),
    ('provider', 'bedrock_converse', 'aws.bedrock'),
    ('provider', 'google', 'gcp.gemini'),
    ('provider', 'gemini', 'gcp.gemini'),
    ('provider', 'google-gla', 'gcp.gemini'),
    ('provider', 'google_genai', 'gcp.gen_ai'),
    ('provider', 'vertexai', 'gcp.vertex_ai'),
    ('provider', 'vertex_ai', 'gcp.vertex_ai'),
    ('provider', 'google-vertex', 'gcp.vertex_ai'),
    ('provider', 'google_vertexai', 'gcp.vertex_ai'),
    ('provider', 'mistral', 'mistral_ai'),
    ('provider', 'mistralai', 'mistral_ai'),
    ('provider', 'xai', 'x_ai'),
    ('provider', 'x-ai', 'x_ai'),
    ('provider', 'grok', 'x_ai'),
    ('provider', 'watsonx', 'ibm.watsonx.ai'),
    ('provider', 'ibm.watson.ai', 'ibm.watsonx.ai'),
    ('provider', 'together', 'together_ai'),
    ('provider', 'togetherai', 'together_ai'),
    ('provider', 'fireworks_ai', 'fireworks'),
    ('provider', 'huggingface', 'hugging_face'),
    -- Frameworks that name themselves: not providers.
    ('provider', 'strands-agents', 'unknown'),
    ('provider', 'langchain', 'unknown'),
    ('provider', 'llamaindex', 'unknown'),
    ('provider', 'haystack', 'unknown'),
    ('provider', 'crewai', 'unknown'),
    ('provider', 'autogen', 'unknown'),
    ('provider', 'agno', 'unknown'),
    ('provider', 'litellm', 'unknown'),
    ('provider', 'openai.chat', 'openai'),
    ('provider', 'openai.responses', 'openai'),
    ('provider', 'openai.embedding', 'openai'),
    ('provider', 'anthropic.messages', 'anthropic');

-- Where the call went decides, where the instrumentation names the client library: a part of the URL or of the host.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('host', '.openai.azure.com', 'azure.ai.openai'),
    ('host', '/openai/deployments/', 'azure.ai.openai'),
    ('host', '.services.ai.azure.com', 'azure.ai.inference'),
    ('host', '.models.ai.azure.com', 'azure.ai.inference'),
    ('host', 'openrouter.ai', 'openrouter'),
    ('host', 'api.groq.com', 'groq'),
    ('host', 'api.deepseek.com', 'deepseek'),
    ('host', 'api.x.ai', 'x_ai'),
    ('host', 'api.mistral.ai', 'mistral_ai'),
    ('host', 'api.perplexity.ai', 'perplexity'),
    ('host', 'api.together.', 'together_ai'),
    ('host', 'api.fireworks.ai', 'fireworks'),
    ('host', 'api.cohere.', 'cohere'),
    ('host', 'bedrock-runtime.', 'aws.bedrock'),
    ('host', 'generativelanguage.googleapis.com', 'gcp.gemini'),
    ('host', 'aiplatform.googleapis.com', 'gcp.vertex_ai'),
    ('host', 'api.openai.com', 'openai'),
    ('host', 'api.anthropic.com', 'anthropic');

-- Providers that only the span's name tells: Langfuse's replacement of OpenAI's client (langfuse/openai.py).
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('span_name', 'openai-generation', 'openai'),
    ('span_name', 'openai-embedding', 'openai');

-- Models of resellers without the name of the vendor, which is part of what they are called in the lists of prices: the beginning of a
-- name, after the provider. OpenLLMetry cuts the vendor off Bedrock's ids (opentelemetry/instrumentation/bedrock); OpenRouter's are
-- vendor/model (https://openrouter.ai/docs/models), and applications leave it out.
INSERT INTO value_aliases (field, value, canonical)
SELECT 'vendor', concat(reseller.1, '/', name), concat(reseller.2, reseller.3, name)
FROM
(
    SELECT
        arrayJoin(model.3) AS name,
        arrayJoin([('aws.bedrock', model.1, '.'), ('openrouter', model.2, '/')]) AS reseller
    FROM
    (
        SELECT arrayJoin([
            ('amazon', 'amazon', ['nova-', 'titan-']),
            ('anthropic', 'anthropic', ['claude-']),
            ('meta', 'meta-llama', ['llama-', 'llama2-', 'llama3-', 'llama4-']),
            ('mistral', 'mistralai', ['mistral-', 'mixtral-', 'ministral-', 'magistral-', 'codestral-', 'devstral-', 'pixtral-', 'voxtral-']),
            ('openai', 'openai', ['gpt-', 'o1', 'o3', 'o4-', 'chatgpt-', 'codex-']),
            ('google', 'google', ['gemini-', 'gemma-']),
            ('qwen', 'qwen', ['qwen', 'qwq-']),
            ('deepseek', 'deepseek', ['deepseek-']),
            ('cohere', 'cohere', ['command-']),
            ('nvidia', 'nvidia', ['nemotron-']),
            ('xai', 'x-ai', ['grok-']),
            ('zai', 'z-ai', ['glm-']),
            ('moonshotai', 'moonshotai', ['kimi-'])]) AS model
    )
);

-- Instrumentations of one provider's client that do not always name it.
INSERT INTO value_aliases (field, value, canonical)
SELECT 'scope_provider', concat(family, '.instrumentation.', client.1), client.2
FROM (SELECT arrayJoin(['openlit', 'opentelemetry', 'openinference']) AS family) AS families
CROSS JOIN
(
    SELECT arrayJoin([
        ('openai', 'openai'), ('openai.v1', 'openai'), ('anthropic', 'anthropic'), ('mistral', 'mistral_ai'), ('mistralai', 'mistral_ai'), ('cohere', 'cohere'),
        ('ollama', 'ollama'), ('groq', 'groq'), ('bedrock', 'aws.bedrock'), ('vertexai', 'gcp.vertex_ai'), ('google_generativeai', 'gcp.gemini'),
        ('google_genai', 'gcp.gemini'), ('google_ai_studio', 'gcp.gemini'), ('together', 'together_ai'), ('replicate', 'replicate'), ('watsonx', 'ibm.watsonx.ai'),
        ('azure_ai_inference', 'azure.ai.inference'), ('reka', 'reka'), ('ai21', 'ai21')]) AS client
) AS clients;

-- Operations that only the name of the span tells, or tells better: with its scope before it.
INSERT INTO value_aliases (field, value, canonical) VALUES
    -- OpenLLMetry (up to 0.53) calls Anthropic's messages a completion, and so does LiteLLM all chats.
    ('span', 'opentelemetry.instrumentation.anthropic anthropic.chat', 'chat'),
    ('span', 'opentelemetry.instrumentation.anthropic anthropic.completion', 'text_completion'),
    ('scope_operation', 'litellm completion', 'chat'),
    -- No operation, up to 0.53.
    ('span', 'opentelemetry.instrumentation.openai.v1 openai.response', 'chat'),
    -- No operation, if they failed.
    ('span', 'logfire.openai_agents chat completion with {gen_ai.request.model!r}', 'chat'),
    ('span', 'logfire.openai_agents responses api with {gen_ai.request.model!r}', 'chat'),
    -- LlamaIndex: the public method around the one that calls.
    ('method', 'openinference.instrumentation.llama_index get_text_embedding', 'invoke_workflow'),
    ('method', 'openinference.instrumentation.llama_index get_query_embedding', 'invoke_workflow'),
    ('method', 'openinference.instrumentation.llama_index get_text_embedding_batch', 'invoke_workflow'),
    ('method', 'openinference.instrumentation.llama_index aget_text_embedding', 'invoke_workflow'),
    ('method', 'openinference.instrumentation.llama_index aget_query_embedding', 'invoke_workflow'),
    ('method', 'openinference.instrumentation.llama_index aget_text_embedding_batch', 'invoke_workflow'),
    -- One kind, LLM, for both.
    ('span', 'openinference.instrumentation.openai completion', 'text_completion');

-- Habits of instrumentations, by the scope of their spans.
INSERT INTO value_aliases (field, value, canonical) VALUES
    -- input_tokens of Anthropic's API as it is: cache reads and writes are not in it.
    ('scope', 'openlit.instrumentation.anthropic', 'excludes_cache estimates_streams'),
    -- inputTokens of Bedrock's Converse, likewise.
    ('scope', 'openlit.instrumentation.bedrock', 'excludes_cache'),
    ('scope', 'opentelemetry.instrumentation.bedrock', 'excludes_cache'),
    ('scope', 'opentelemetry.instrumentation.botocore.bedrock-runtime', 'excludes_cache'),
    -- candidatesTokenCount of Gemini's API as it is: thoughts are not in it.
    ('scope', 'openlit.instrumentation.google_ai_studio', 'excludes_reasoning'),
    ('scope', 'openlit.instrumentation.vertexai', 'excludes_reasoning'),
    ('scope', 'opentelemetry.instrumentation.google_generativeai', 'excludes_reasoning'),
    ('scope', 'opentelemetry.instrumentation.vertexai', 'excludes_reasoning'),
    -- Counts words of a stream without usage and does not say so.
    ('scope', 'openlit.instrumentation.openai', 'estimates_streams'),
    ('scope', 'litellm', 'estimates_streams'),
    ('scope', 'openinference.instrumentation.litellm', 'prefixes_models'),
    -- llm.model_name is what was asked for, of whatever answered.
    ('scope', 'openinference.instrumentation.openai_agents', 'names_asked'),
    ('scope', 'openinference.instrumentation.llama_index', 'names_asked'),
    ('scope', 'openinference.instrumentation.smolagents', 'names_asked'),
    ('scope', 'openinference.instrumentation.dspy', 'names_asked'),
    ('scope', 'openinference.instrumentation.agno', 'names_asked'),
    -- A stream is two spans: one that opens it, without an answer, and a log at its end with everything (llm_provider.py).
    ('scope', 'logfire.openai', 'splits_streams'),
    ('scope', 'logfire.anthropic', 'splits_streams ends_streams'),
    -- Every stream that ended has a reason to finish.
    ('scope', 'com.anthropic.sdk.python', 'ends_streams'),
    ('scope', 'opentelemetry.instrumentation.anthropic', 'ends_streams'),
    ('scope', 'opentelemetry.instrumentation.genai.anthropic', 'ends_streams'),
    ('scope', 'opentelemetry.instrumentation.genai.openai', 'ends_streams'),
    ('scope', 'openinference.instrumentation.anthropic', 'ends_streams');

-- One vocabulary of finish reasons: OpenAI's.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('finish_reason', 'end_turn', 'stop'),
    ('finish_reason', 'completed', 'stop'),
    ('finish_reason', 'finish_reason_stop', 'stop'),
    ('finish_reason', 'finishreason.stop', 'stop'),
    ('finish_reason', 'finishreason.length', 'length'),
    ('finish_reason', 'finishreason.max_tokens', 'length'),
    ('finish_reason', 'finishreason.safety', 'content_filter'),
    ('finish_reason', 'finishreason.recitation', 'content_filter'),
    ('finish_reason', 'finishreason.blocklist', 'content_filter'),
    ('finish_reason', 'finishreason.prohibited_content', 'content_filter'),
    ('finish_reason', 'finishreason.spii', 'content_filter'),
    ('finish_reason', 'finishreason.image_safety', 'content_filter'),
    ('finish_reason', 'finishreason.tool_calls', 'tool_calls'),
    ('finish_reason', 'finishreason.content_filter', 'content_filter'),
    ('finish_reason', 'completionsfinishreason.stopped', 'stop'),
    ('finish_reason', 'tool_use', 'tool_calls'),
    ('finish_reason', 'tool_call', 'tool_calls'),
    ('finish_reason', 'tool-calls', 'tool_calls'),
    ('finish_reason', 'max_tokens', 'length'),
    ('finish_reason', 'max_output_tokens', 'length'),
    ('finish_reason', 'content-filter', 'content_filter'),
    ('finish_reason', 'safety', 'content_filter'),
    -- Cohere, Mistral, Bedrock and Google, in their own words.
    ('finish_reason', 'complete', 'stop'),
    ('finish_reason', 'stop_sequence', 'stop'),
    ('finish_reason', 'model_length', 'length'),
    ('finish_reason', 'model_context_window_exceeded', 'length'),
    ('finish_reason', 'error_toxic', 'content_filter'),
    ('finish_reason', 'content_filtered', 'content_filter'),
    ('finish_reason', 'guardrail_intervened', 'content_filter'),
    ('finish_reason', 'prohibited_content', 'content_filter'),
    ('finish_reason', 'blocklist', 'content_filter'),
    ('finish_reason', 'spii', 'content_filter'),
    ('finish_reason', 'recitation', 'content_filter'),
    ('finish_reason', 'image_safety', 'content_filter'),
    -- No reason of the provider's: the status of the call says so.
    ('finish_reason', 'error', ''),
    ('finish_reason', 'failed', ''),
    ('finish_reason', 'incomplete', ''),
    ('finish_reason', 'in_progress', '');

-- Errors that are none of the provider's.
INSERT INTO value_aliases (field, value, canonical) VALUES
    ('error', 'cancellederror', 'cancelled'),
    ('error', 'asyncio.cancellederror', 'cancelled'),
    ('error', 'asyncio.exceptions.cancellederror', 'cancelled'),
    ('error', 'keyboardinterrupt', 'cancelled'),
    ('error', 'generatorexit', 'incomplete');
