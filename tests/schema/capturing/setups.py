"""How each instrumentation is switched on. A set-up is named FAMILY__MODE."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schema.capturing import frameworks
from schema.capturing.scenarios import ANTHROPIC, OPENAI, Scenario
from schema.capturing.using import use

Install = Callable[[Any, Any], None]
"""Takes the tracer provider and the span exporter."""


@dataclass(frozen=True)
class Setup:
    venv: str
    install: Install
    packages: tuple[str, ...]
    scenarios: dict[str, Scenario]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    openai_module: str = "openai"


def _instrument(*instrumentors: str, **options: Any) -> Install:
    """Instrumentors in the usual form, as `module:Class`."""

    def install(provider: Any, _exporter: Any) -> None:
        for name in instrumentors:
            module, _, kind = name.partition(":")
            getattr(use(module), kind)(**options).instrument(tracer_provider=provider)

    return install


def _both(*installs: Install) -> Install:
    def install(provider: Any, exporter: Any) -> None:
        for each in installs:
            each(provider, exporter)

    return install


def _nothing(_provider: Any, _exporter: Any) -> None:
    pass


def _langfuse(provider: Any, exporter: Any) -> None:
    options: dict[str, Any] = {
        "public_key": "pk",
        "secret_key": "sk",
        "host": "http://127.0.0.1:9",
        "tracer_provider": provider,
    }
    try:
        use("langfuse").Langfuse(span_exporter=exporter, **options)
    except TypeError:
        use("langfuse").Langfuse(**options)


def _logfire(_provider: Any, exporter: Any) -> None:
    logfire = use("logfire")
    processor = use("opentelemetry.sdk.trace.export").SimpleSpanProcessor(exporter)
    logfire.configure(
        send_to_logfire=False,
        console=False,
        service_name="inbox",
        additional_span_processors=[processor],
        metrics=False,
    )
    logfire.instrument_openai()
    logfire.instrument_anthropic()


def _logfire_latest(provider: Any, exporter: Any) -> None:
    logfire = use("logfire")
    processor = use("opentelemetry.sdk.trace.export").SimpleSpanProcessor(exporter)
    logfire.configure(
        send_to_logfire=False,
        console=False,
        service_name="inbox",
        additional_span_processors=[processor],
        metrics=False,
    )
    logfire.instrument_openai(version="latest")
    logfire.instrument_anthropic(version="latest")


def _traceloop(_provider: Any, exporter: Any) -> None:
    use("traceloop.sdk").Traceloop.init(app_name="inbox", exporter=exporter, disable_batch=True)


SDKS = OPENAI | ANTHROPIC
_NO_NATIVE = {"ANTHROPIC_OPEN_TELEMETRY": "false"}
_OLLM = _instrument(
    "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
    "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
)
_OI = _instrument(
    "openinference.instrumentation.openai:OpenAIInstrumentor",
    "openinference.instrumentation.anthropic:AnthropicInstrumentor",
)
_GENAI = _instrument(
    "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
    "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
)
_CONTENT = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
}

SETUPS: dict[str, Setup] = {
    "otel-genai__default": Setup(
        "otelgenai", _GENAI, ("opentelemetry-instrumentation-genai-openai",), SDKS, _NO_NATIVE
    ),
    "otel-genai__content": Setup(
        "otelgenai", _GENAI, ("opentelemetry-instrumentation-genai-openai",), SDKS, _NO_NATIVE | _CONTENT
    ),
    "openai-v2__default": Setup(
        "openaiv2",
        _instrument("opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor"),
        ("opentelemetry-instrumentation-openai-v2",),
        OPENAI,
    ),
    "openai-v2__latest": Setup(
        "openaiv2",
        _instrument("opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor"),
        ("opentelemetry-instrumentation-openai-v2",),
        OPENAI,
        _CONTENT,
    ),
    "openllmetry__default": Setup(
        "ollm62", _OLLM, ("opentelemetry-instrumentation-openai",), SDKS, _NO_NATIVE
    ),
    "openllmetry__no_content": Setup(
        "ollm62",
        _OLLM,
        ("opentelemetry-instrumentation-openai",),
        SDKS,
        _NO_NATIVE | {"TRACELOOP_TRACE_CONTENT": "false"},
    ),
    "openllmetry__0.53": Setup("ollm53", _OLLM, ("opentelemetry-instrumentation-openai",), SDKS, _NO_NATIVE),
    "openllmetry__0.47": Setup("ollm47", _OLLM, ("opentelemetry-instrumentation-openai",), SDKS),
    "openllmetry__0.40": Setup("ollm40", _OLLM, ("opentelemetry-instrumentation-openai",), SDKS),
    "openinference__default": Setup("oi", _OI, ("openinference-instrumentation-openai",), SDKS, _NO_NATIVE),
    "openinference__hidden": Setup(
        "oi",
        _OI,
        ("openinference-instrumentation-openai",),
        SDKS,
        _NO_NATIVE | {"OPENINFERENCE_HIDE_INPUTS": "true", "OPENINFERENCE_HIDE_OUTPUTS": "true"},
    ),
    "openlit__default": Setup("openlit", frameworks.openlit, ("openlit",), SDKS, _NO_NATIVE),
    "langfuse__openai_dropin": Setup(
        "langfuse5", _langfuse, ("langfuse",), OPENAI, openai_module="langfuse.openai"
    ),
    "langfuse__4": Setup("langfuse4", _langfuse, ("langfuse",), OPENAI, openai_module="langfuse.openai"),
    "langfuse__3": Setup("langfuse3", _langfuse, ("langfuse",), OPENAI, openai_module="langfuse.openai"),
    "logfire__default": Setup("logfire5", _logfire, ("logfire",), SDKS, _NO_NATIVE),
    "logfire__latest": Setup("logfire5", _logfire_latest, ("logfire",), SDKS, _NO_NATIVE),
    "logfire__6": Setup("logfire", _logfire, ("logfire",), SDKS, _NO_NATIVE),
    "anthropic__native": Setup("otelgenai", _nothing, ("anthropic",), ANTHROPIC),
    "anthropic__native_content": Setup("otelgenai", _nothing, ("anthropic",), ANTHROPIC, _CONTENT),
    "openllmetry__beside_native": Setup(
        "ollm62", _OLLM, ("opentelemetry-instrumentation-anthropic", "anthropic"), ANTHROPIC
    ),
    "openinference__beside_native": Setup(
        "oi", _OI, ("openinference-instrumentation-anthropic", "anthropic"), ANTHROPIC
    ),
    "logfire__beside_native": Setup("logfire5", _logfire, ("logfire", "anthropic"), ANTHROPIC),
    "otel-genai__beside_native": Setup(
        "otelgenai", _GENAI, ("opentelemetry-instrumentation-genai-anthropic", "anthropic"), ANTHROPIC
    ),
    "pair__openllmetry_openinference": Setup(
        "multi",
        _both(_OLLM, _OI),
        ("openinference-instrumentation-openai", "opentelemetry-instrumentation-openai"),
        SDKS,
    ),
    "pair__langfuse_openllmetry": Setup(
        "multi",
        _both(_OLLM, _langfuse),
        ("langfuse", "opentelemetry-instrumentation-openai"),
        OPENAI,
        openai_module="langfuse.openai",
    ),
    "pair__langfuse_openinference": Setup(
        "multi",
        _both(_OI, _langfuse),
        ("langfuse", "openinference-instrumentation-openai"),
        OPENAI,
        openai_module="langfuse.openai",
    ),
    "pair__openlit_langfuse": Setup(
        "multilit",
        _both(frameworks.openlit, _langfuse),
        ("langfuse", "openlit"),
        OPENAI,
        openai_module="langfuse.openai",
    ),
    "pair__genai_openllmetry": Setup(
        "multi",
        _both(_GENAI, _OLLM),
        ("opentelemetry-instrumentation-genai-openai", "opentelemetry-instrumentation-openai"),
        SDKS,
    ),
    "pair__logfire_openllmetry": Setup(
        "multi", _both(_logfire, _OLLM), ("logfire", "opentelemetry-instrumentation-openai"), SDKS
    ),
    "pair__openlit_openllmetry": Setup(
        "multilit",
        _both(frameworks.openlit, _OLLM),
        ("openlit", "opentelemetry-instrumentation-openai"),
        SDKS,
        _NO_NATIVE,
    ),
    "pair__openlit_openinference": Setup(
        "multilit",
        _both(_OI, frameworks.openlit),
        ("openlit", "openinference-instrumentation-openai"),
        SDKS,
        _NO_NATIVE,
    ),
    "pair__logfire_openinference": Setup(
        "multi", _both(_logfire, _OI), ("logfire", "openinference-instrumentation-openai"), SDKS
    ),
    "traceloop__sdk": Setup("traceloop", _traceloop, ("traceloop-sdk",), SDKS, _NO_NATIVE),
} | {name: Setup(**framework) for name, framework in frameworks.FRAMEWORKS.items()}


def switch_on(name: str, provider: Any, exporter: Any) -> Setup:
    setup = SETUPS[name]
    os.environ.update(setup.environment)
    setup.install(provider, exporter)
    return setup
