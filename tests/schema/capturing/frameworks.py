"""Set-ups of frameworks that call the providers by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.capturing.agent_calls import (
    AGENTS,
    PYDANTIC_AI,
    agents_logfire,
    pydantic_logfire,
    pydantic_logfire_both,
    pydantic_openinference,
    pydantic_own,
)
from schema.capturing.langchain_calls import LANGCHAIN, langfuse_handler, langfuse_handler_3
from schema.capturing.litellm_calls import LITELLM, litellm_openinference, litellm_otel
from schema.capturing.other_calls import (
    AGNO,
    AUTOGEN,
    AZURE_INFERENCE,
    CREWAI,
    DSPY,
    HAYSTACK,
    KERNEL,
    LLAMAINDEX,
    SMOLAGENTS,
    STRANDS,
    azure_tracing,
)
from schema.capturing.provider_calls import BEDROCK, COHERE, GOOGLE, GROQ, MISTRAL, OLLAMA, PROVIDERS
from schema.capturing.using import use

if TYPE_CHECKING:
    from collections.abc import Callable

    from schema.capturing.scenarios import (
        Scenario,
    )


def instrument(*names: str) -> Callable[[Any, Any], None]:
    def install(provider: Any, _exporter: Any) -> None:
        for name in names:
            module, _, kind = name.partition(":")
            getattr(use(module), kind)().instrument(tracer_provider=provider)

    return install


def openlit(_provider: Any, _exporter: Any) -> None:
    use("openlit").init(
        application_name="inbox", environment="test", disable_metrics=True, disable_batch=True
    )


def _nothing(_provider: Any, _exporter: Any) -> None:
    pass


_OFF = {"ANTHROPIC_OPEN_TELEMETRY": "false"}


def _setup(
    venv: str, install: Any, scenarios: dict[str, Scenario], *packages: str, **environment: str
) -> dict[str, Any]:
    return {
        "venv": venv,
        "install": install,
        "packages": packages,
        "scenarios": scenarios,
        "environment": _OFF | environment,
    }


_LATEST = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}
_LC_OI = "openinference.instrumentation.langchain:LangChainInstrumentor"
_LC_OLLM = "opentelemetry.instrumentation.langchain:LangchainInstrumentor"
FRAMEWORKS: dict[str, dict[str, Any]] = {
    "litellm__otel": _setup("litellm", litellm_otel, LITELLM, "litellm"),
    "litellm__request_span": _setup(
        "litellm", litellm_otel, LITELLM, "litellm", USE_OTEL_LITELLM_REQUEST_SPAN="true"
    ),
    "litellm__latest": _setup("litellm", litellm_otel, LITELLM, "litellm", **_LATEST),
    "litellm__1.79": _setup("litellm_old", litellm_otel, LITELLM, "litellm"),
    "litellm__openinference": _setup(
        "litellm", litellm_openinference, LITELLM, "litellm", "openinference-instrumentation-litellm"
    ),
    "litellm__native_beside": {**_setup("litellm", litellm_otel, LITELLM, "litellm"), "environment": {}},
    "langchain__openinference": _setup(
        "langchain",
        instrument(_LC_OI),
        LANGCHAIN,
        "langchain-core",
        "openinference-instrumentation-langchain",
    ),
    "langchain__openllmetry": _setup(
        "langchain",
        instrument(_LC_OLLM),
        LANGCHAIN,
        "langchain-core",
        "opentelemetry-instrumentation-langchain",
    ),
    "langchain__langfuse": _setup("langchain", langfuse_handler, LANGCHAIN, "langchain-core", "langfuse"),
    "langchain__langfuse3": _setup(
        "langfuse2lc",
        langfuse_handler_3,
        {k: v for k, v in LANGCHAIN.items() if "anthropic" not in k},
        "langchain-core",
        "langfuse",
    ),
    "langchain__genai": _setup(
        "lcgenai",
        instrument("opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor"),
        LANGCHAIN,
        "langchain-core",
        "opentelemetry-instrumentation-genai-langchain",
        **_LATEST,
    ),
    "langchain__beside_native": {
        **_setup(
            "langchain",
            instrument(_LC_OI),
            {k: v for k, v in LANGCHAIN.items() if "anthropic" in k},
            "langchain-core",
        ),
        "environment": {},
    },
    "langchain__pair": _setup("langchain", instrument(_LC_OI, _LC_OLLM), LANGCHAIN, "langchain-core"),
    "pydantic-ai__own": _setup("logfire5", pydantic_own(), PYDANTIC_AI, "pydantic-ai-slim"),
    "pydantic-ai__v2": _setup("logfire5", pydantic_own(2), PYDANTIC_AI, "pydantic-ai-slim"),
    "pydantic-ai__2.68": _setup("logfire", pydantic_own(), PYDANTIC_AI, "pydantic-ai-slim"),
    "logfire__pydantic_ai": _setup("logfire5", pydantic_logfire, PYDANTIC_AI, "pydantic-ai-slim", "logfire"),
    "logfire__pydantic_ai_and_clients": _setup(
        "logfire5", pydantic_logfire_both, PYDANTIC_AI, "pydantic-ai-slim", "logfire"
    ),
    "pydantic-ai__openinference": _setup(
        "pydai_oi",
        pydantic_openinference,
        PYDANTIC_AI,
        "pydantic-ai-slim",
        "openinference-instrumentation-pydantic-ai",
    ),
    "logfire__agents": _setup("agents", agents_logfire, AGENTS, "openai-agents", "logfire"),
    "agents__openinference": _setup(
        "agents",
        instrument("openinference.instrumentation.openai_agents:OpenAIAgentsInstrumentor"),
        AGENTS,
        "openai-agents",
        "openinference-instrumentation-openai-agents",
    ),
    "agents__openllmetry": _setup(
        "agents",
        instrument("opentelemetry.instrumentation.openai_agents:OpenAIAgentsInstrumentor"),
        AGENTS,
        "openai-agents",
        "opentelemetry-instrumentation-openai-agents",
    ),
    "llamaindex__openinference": _setup(
        "llamaindex",
        instrument("openinference.instrumentation.llama_index:LlamaIndexInstrumentor"),
        LLAMAINDEX,
        "llama-index-core",
        "openinference-instrumentation-llama-index",
    ),
    "llamaindex__openllmetry": _setup(
        "llamaindex",
        instrument("opentelemetry.instrumentation.llamaindex:LlamaIndexInstrumentor"),
        LLAMAINDEX,
        "llama-index-core",
        "opentelemetry-instrumentation-llamaindex",
    ),
    "strands__own": _setup("strands", _nothing, STRANDS, "strands-agents"),
    "strands__latest": _setup("strands", _nothing, STRANDS, "strands-agents", **_LATEST),
    "smolagents__openinference": _setup(
        "strands",
        instrument("openinference.instrumentation.smolagents:SmolagentsInstrumentor"),
        SMOLAGENTS,
        "smolagents",
    ),
    "agno__openinference": _setup(
        "agno", instrument("openinference.instrumentation.agno:AgnoInstrumentor"), AGNO, "agno"
    ),
    "dspy__openinference": _setup(
        "dspy", instrument("openinference.instrumentation.dspy:DSPyInstrumentor"), DSPY, "dspy"
    ),
    "haystack__openinference": _setup(
        "haystack",
        instrument("openinference.instrumentation.haystack:HaystackInstrumentor"),
        HAYSTACK,
        "haystack-ai",
    ),
    "semantic-kernel__own": _setup(
        "sk",
        _nothing,
        KERNEL,
        "semantic-kernel",
        SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS="true",
    ),
    "autogen__own": _setup(
        "autogen",
        instrument("openinference.instrumentation.autogen_agentchat:AutogenAgentChatInstrumentor"),
        AUTOGEN,
        "autogen-agentchat",
    ),
    "crewai__openinference": _setup(
        "crewai", instrument("openinference.instrumentation.crewai:CrewAIInstrumentor"), CREWAI, "crewai"
    ),
    "crewai__openllmetry": _setup(
        "crewai", instrument("opentelemetry.instrumentation.crewai:CrewAIInstrumentor"), CREWAI, "crewai"
    ),
    "azure-ai-inference__own": _setup("azinf", azure_tracing, AZURE_INFERENCE, "azure-ai-inference"),
    "google__genai": _setup(
        "google2",
        instrument("opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor"),
        GOOGLE,
        "google-genai",
        "opentelemetry-instrumentation-google-genai",
    ),
    "google__genai_latest": _setup(
        "google2",
        instrument("opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor"),
        GOOGLE,
        "google-genai",
        "opentelemetry-instrumentation-google-genai",
        **_LATEST,
    ),
    "google__openllmetry": _setup(
        "google",
        instrument("opentelemetry.instrumentation.google_generativeai:GoogleGenerativeAiInstrumentor"),
        GOOGLE,
        "google-genai",
        "opentelemetry-instrumentation-google-generativeai",
    ),
    "google__openinference": _setup(
        "google",
        instrument("openinference.instrumentation.google_genai:GoogleGenAIInstrumentor"),
        GOOGLE,
        "google-genai",
        "openinference-instrumentation-google-genai",
    ),
    "bedrock__genai": _setup(
        "bedrock",
        instrument("opentelemetry.instrumentation.botocore:BotocoreInstrumentor"),
        BEDROCK,
        "boto3",
        "opentelemetry-instrumentation-botocore",
    ),
    "bedrock__openllmetry": _setup(
        "bedrock",
        instrument("opentelemetry.instrumentation.bedrock:BedrockInstrumentor"),
        BEDROCK,
        "boto3",
        "opentelemetry-instrumentation-bedrock",
    ),
    "bedrock__openinference": _setup(
        "bedrock",
        instrument("openinference.instrumentation.bedrock:BedrockInstrumentor"),
        BEDROCK,
        "boto3",
        "openinference-instrumentation-bedrock",
    ),
    "providers__openllmetry": _setup(
        "others1",
        instrument(
            "opentelemetry.instrumentation.mistralai:MistralAiInstrumentor",
            "opentelemetry.instrumentation.groq:GroqInstrumentor",
            "opentelemetry.instrumentation.ollama:OllamaInstrumentor",
            "opentelemetry.instrumentation.cohere:CohereInstrumentor",
        ),
        MISTRAL | GROQ | OLLAMA | COHERE,
        "mistralai",
        "groq",
        "ollama",
        "cohere",
        "opentelemetry-instrumentation-mistralai",
    ),
    "providers__openinference": _setup(
        "others",
        instrument(
            "openinference.instrumentation.mistralai:MistralAIInstrumentor",
            "openinference.instrumentation.groq:GroqInstrumentor",
        ),
        MISTRAL | GROQ,
        "mistralai",
        "groq",
        "openinference-instrumentation-mistralai",
        "openinference-instrumentation-groq",
    ),
    "providers__openlit": _setup("openlit2", openlit, PROVIDERS, "openlit"),
}
