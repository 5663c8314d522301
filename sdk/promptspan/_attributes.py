"""Every attribute name and well-known value that the SDK writes, and nothing else.

``GEN_AI_*`` follow the OpenTelemetry GenAI conventions (checked in a test against ``opentelemetry.semconv``
where it has the constant); ``PROMPTSPAN_*`` are ours, for what the conventions lack.
"""

from __future__ import annotations

from typing import Final

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_REQUEST_STREAM: Final = "gen_ai.request.stream"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
GEN_AI_USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
GEN_AI_USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
GEN_AI_PROMPT_NAME: Final = "gen_ai.prompt.name"
GEN_AI_PROMPT_VERSION: Final = "gen_ai.prompt.version"
GEN_AI_PROMPT_VARIABLE_PREFIX: Final = "gen_ai.prompt.variable."
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
GEN_AI_INPUT_MESSAGES: Final = "gen_ai.input.messages"
GEN_AI_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
GEN_AI_SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
GEN_AI_WORKFLOW_NAME: Final = "gen_ai.workflow.name"
GEN_AI_EVALUATION_NAME: Final = "gen_ai.evaluation.name"
GEN_AI_EVALUATION_SCORE_VALUE: Final = "gen_ai.evaluation.score.value"
GEN_AI_EVALUATION_SCORE_LABEL: Final = "gen_ai.evaluation.score.label"
GEN_AI_EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"

ERROR_TYPE: Final = "error.type"
USER_ID: Final = "user.id"
SESSION_ID: Final = "session.id"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
CODE_FUNCTION_NAME: Final = "code.function.name"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
PROCESS_PID: Final = "process.pid"
TELEMETRY_DISTRO_NAME: Final = "telemetry.distro.name"
TELEMETRY_DISTRO_VERSION: Final = "telemetry.distro.version"
TELEMETRY_SDK_LANGUAGE: Final = "telemetry.sdk.language"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

PROMPTSPAN_STATUS: Final = "promptspan.status"
PROMPTSPAN_FEATURE: Final = "promptspan.feature"
PROMPTSPAN_TENANT: Final = "promptspan.tenant"
PROMPTSPAN_TAGS: Final = "promptspan.tags"
PROMPTSPAN_VARIANT: Final = "promptspan.variant"
PROMPTSPAN_ATTEMPT: Final = "promptspan.attempt"
PROMPTSPAN_CACHED: Final = "promptspan.cached"
PROMPTSPAN_FALLBACK_OF: Final = "promptspan.fallback_of"
PROMPTSPAN_PROMPT_TEMPLATE: Final = "promptspan.prompt.template"
PROMPTSPAN_PROMPT_TEMPLATE_HASH: Final = "promptspan.prompt.template_hash"
PROMPTSPAN_PROMPT_GIT_COMMIT: Final = "promptspan.prompt.git_commit"
PROMPTSPAN_PROMPT_OWNER: Final = "promptspan.prompt.owner"
PROMPTSPAN_PROMPT_DESCRIPTION: Final = "promptspan.prompt.description"
PROMPTSPAN_USAGE_SOURCE: Final = "promptspan.usage.source"
PROMPTSPAN_USAGE_CACHE_WRITE_1H_INPUT_TOKENS: Final = "promptspan.usage.cache_write_1h.input_tokens"
PROMPTSPAN_COST_REPORTED_USD: Final = "promptspan.cost.reported_usd"
PROMPTSPAN_SERVICE_TIER: Final = "promptspan.service_tier"
PROMPTSPAN_SERVER_TIMING_PREFIX: Final = "promptspan.server."
PROMPTSPAN_SAFETY_FLAGS: Final = "promptspan.safety.flags"
PROMPTSPAN_SAFETY_SKIPPED: Final = "promptspan.safety.skipped"
PROMPTSPAN_OUTPUT_SKETCH: Final = "promptspan.output.sketch"
PROMPTSPAN_CONTEXT_TOKENS: Final = "promptspan.context.tokens"
PROMPTSPAN_CONTEXT_DOCUMENTS: Final = "promptspan.context.documents"
PROMPTSPAN_CONTEXT_STALE_S: Final = "promptspan.context.stale_s"
PROMPTSPAN_CONTEXT_TRUNCATED: Final = "promptspan.context.truncated"
PROMPTSPAN_SCORE_TRACE_ID: Final = "promptspan.score.trace_id"
PROMPTSPAN_SCORE_SPAN_ID: Final = "promptspan.score.span_id"

EVALUATION_RESULT: Final = "gen_ai.evaluation.result"

OPERATION_CHAT: Final = "chat"
OPERATION_TEXT_COMPLETION: Final = "text_completion"
OPERATION_EMBEDDINGS: Final = "embeddings"
OPERATION_GENERATE_CONTENT: Final = "generate_content"
OPERATION_INVOKE_WORKFLOW: Final = "invoke_workflow"

STATUS_VALUE_OK: Final = "ok"
STATUS_VALUE_ERROR: Final = "error"
STATUS_VALUE_CANCELLED: Final = "cancelled"
STATUS_VALUE_INCOMPLETE: Final = "incomplete"

USAGE_SOURCE_PROVIDER: Final = "provider"
USAGE_SOURCE_ESTIMATED: Final = "estimated"
USAGE_SOURCE_MISSING: Final = "missing"

FLAG_REFUSAL: Final = "refusal"
FLAG_CONTENT_FILTER: Final = "content_filter"
FLAG_TRUNCATED: Final = "truncated"
FLAG_EMPTY_OUTPUT: Final = "empty_output"
FLAG_INVALID_JSON: Final = "invalid_json"
FLAG_SECRET: Final = "secret"  # noqa: S105  # a flag's name
FLAG_PII: Final = "pii"
FLAG_INJECTION: Final = "injection"

# Any of these on a span says that its instrumentation counted the tokens of a call.
USAGE_OF_OTHERS: Final = (
    GEN_AI_USAGE_INPUT_TOKENS,
    GEN_AI_USAGE_OUTPUT_TOKENS,
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.total_tokens",
    "llm.token_count.prompt",
    "llm.token_count.completion",
    "langfuse.observation.usage_details",
)
CONTENT_KEYS: Final = frozenset(
    {GEN_AI_INPUT_MESSAGES, GEN_AI_OUTPUT_MESSAGES, GEN_AI_SYSTEM_INSTRUCTIONS, EXCEPTION_MESSAGE}
)
# Said by the developer to tell calls apart: what must not leave of these becomes a name that stays apart.
IDENTITY_KEYS: Final = frozenset(
    {
        PROMPTSPAN_FEATURE,
        PROMPTSPAN_TENANT,
        PROMPTSPAN_VARIANT,
        PROMPTSPAN_FALLBACK_OF,
        PROMPTSPAN_TAGS,
        SESSION_ID,
        GEN_AI_CONVERSATION_ID,
        GEN_AI_REQUEST_MODEL,
    }
)
