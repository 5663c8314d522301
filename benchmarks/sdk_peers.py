"""Other packages' ways of tracing the call of ``sdk_ways``; each is loaded when it is asked for.

``client`` is OpenAI's client over a transport without network: what the instrumentations of it are around,
and what is taken off their cost.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from sdk_ways import ANSWER, ATTRIBUTES, COMPLETION, MODEL, Way, floor_provider

if TYPE_CHECKING:
    from collections.abc import Callable


def package(name: str) -> Any:
    """A package that may be absent, and has no types here."""
    return importlib.import_module(name)


def client(_: str) -> Way:
    """OpenAI's client, answered without a network: what the instrumentations of it are around."""
    return Way(_asks(_client()))


def _client() -> Any:
    openai = package("openai")
    try:
        httpx = package("httpx2")
    except ImportError:  # before openai 3
        httpx = package("httpx")

    def reply(_: Any) -> Any:
        return httpx.Response(200, json=COMPLETION)

    return openai.OpenAI(
        api_key="bench",
        base_url="http://bench.invalid/v1",
        http_client=httpx.Client(transport=httpx.MockTransport(reply)),
    )


def _asks(openai_client: Any) -> Callable[[str], Any]:
    def summarise(text: str) -> Any:
        return openai_client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": text}]
        )

    return summarise


def openinference(endpoint: str) -> Way:
    provider = floor_provider(endpoint)
    package("openinference.instrumentation.openai").OpenAIInstrumentor().instrument(tracer_provider=provider)
    return Way(_asks(_client()), lambda: provider.force_flush(60_000))


def traceloop(endpoint: str) -> Way:
    provider = floor_provider(endpoint)
    package("opentelemetry.instrumentation.openai").OpenAIInstrumentor().instrument(tracer_provider=provider)
    return Way(_asks(_client()), lambda: provider.force_flush(60_000))


def openlit(endpoint: str) -> Way:
    package("openlit").init(otlp_endpoint=endpoint, disable_metrics=True)
    provider = package("opentelemetry.trace").get_tracer_provider()
    return Way(_asks(_client()), lambda: provider.force_flush(60_000))


def genai_util(endpoint: str) -> Way:
    handlers, types = package("opentelemetry.util.genai.handler"), package("opentelemetry.util.genai.types")

    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    provider = floor_provider(endpoint)
    handler = handlers.TelemetryHandler(tracer_provider=provider)

    def summarise(text: str) -> Any:
        with handler.inference("openai", request_model=MODEL) as running:
            running.input_messages = [types.InputMessage(role="user", parts=[types.Text(content=text)])]
            running.attributes.update({key: ATTRIBUTES[key] for key in list(ATTRIBUTES)[8:18]})
            running.response_model_name = COMPLETION["model"]
            running.response_id = COMPLETION["id"]
            running.input_tokens, running.output_tokens = 231, 24
            running.output_messages = [
                types.OutputMessage(
                    role="assistant", parts=[types.Text(content=ANSWER)], finish_reason="stop"
                )
            ]
            return ANSWER

    return Way(summarise, lambda: provider.force_flush(60_000))


def langfuse(endpoint: str) -> Way:
    peer = package("langfuse").Langfuse(public_key="pk-lf-bench", secret_key="sk-lf-bench", host=endpoint)

    def summarise(text: str) -> Any:
        with peer.start_as_current_observation(as_type="generation", name="summarise", input=text) as seen:
            seen.update(
                model=MODEL,
                output=ANSWER,
                usage_details={"input": 231, "output": 24, "cache_read": 128},
                metadata={key: ATTRIBUTES[key] for key in list(ATTRIBUTES)[8:18]},
            )
            return ANSWER

    return Way(summarise, peer.flush)


def opik(endpoint: str) -> Way:
    os.environ["OPIK_URL_OVERRIDE"] = endpoint + "/api"
    os.environ["OPIK_TRACK_DISABLE"] = "false"
    peer = package("opik")

    @peer.track(type="llm", name="summarise")
    def summarise(text: str) -> Any:  # noqa: ARG001  # the decorator notes it
        peer.opik_context.update_current_span(
            model=MODEL,
            provider="openai",
            usage={"prompt_tokens": 231, "completion_tokens": 24, "total_tokens": 255},
            metadata={key: ATTRIBUTES[key] for key in list(ATTRIBUTES)[8:18]},
        )
        return ANSWER

    return Way(summarise, peer.flush_tracker)


def logfire(endpoint: str) -> Way:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    peer = package("logfire")
    peer.configure(
        send_to_logfire=False,
        console=False,
        additional_span_processors=[BatchSpanProcessor(OTLPSpanExporter(endpoint + "/v1/traces"))],
    )

    def summarise(text: str) -> Any:
        with peer.span("chat {model}", model=MODEL, prompt=text) as span:
            for key, value in ATTRIBUTES.items():
                span.set_attribute(key, value)
            return ANSWER

    return Way(summarise, lambda: peer.force_flush(60_000))


def mlflow(endpoint: str) -> Way:
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = endpoint + "/v1/traces"
    os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    peer = package("mlflow")

    def summarise(text: str) -> Any:
        with peer.start_span("summarise", span_type="LLM") as span:
            span.set_inputs({"prompt": text})
            span.set_attributes(ATTRIBUTES)
            span.set_outputs(ANSWER)
            return ANSWER

    # It has no public way to wait for what goes out over OTLP.
    return Way(summarise, lambda: package("mlflow.tracing.provider").provider.get().force_flush(60_000))


PEERS: dict[str, Callable[[str], Way]] = {
    "client": client,
    "openlit": openlit,
    "traceloop": traceloop,
    "opentelemetry-util-genai": genai_util,
    "openinference": openinference,
    "langfuse": langfuse,
    "opik": opik,
    "logfire": logfire,
    "mlflow": mlflow,
}
